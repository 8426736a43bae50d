package org.mobilecv.app

import androidx.test.ext.junit.runners.AndroidJUnit4
import androidx.test.platform.app.InstrumentationRegistry
import org.junit.Assert.assertTrue
import org.junit.Assume.assumeTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.mobilecv.app.engine.Choice
import org.mobilecv.app.engine.Processor
import org.mobilecv.app.engine.openEngine
import org.mobilecv.core.Bundle
import org.mobilecv.core.Verdict

/** Every file of the bundle answers its golden images on the device as the trained model did. */
@RunWith(AndroidJUnit4::class)
class SelfCheckTest {
    private val assets = InstrumentationRegistry.getInstrumentation().targetContext.assets

    @Test
    fun everyArtifactAnswersTheGoldenImagesOnTheCpu() {
        val bundle = Bundle.open(AssetFiles(assets))
        assumeTrue("no bundle in the assets: mobilecv export MODEL --to tflite --app .", bundle != null)
        Classifier(bundle!!) { openEngine(assets, bundle, it) }.use { classifier ->
            for (artifact in bundle.artifacts) {
                val choice = Choice(artifact, Processor.CPU, threads = 1)
                val answers = classifier.checkGolden(choice)
                val differing = answers.filter { it.verdict == Verdict.DIFFERS }
                assertTrue("${artifact.id}: $differing", choice.tolerance.accepts(answers))
            }
        }
    }
}
