package org.mobilecv.app

import android.app.Application
import android.net.Uri
import android.os.Handler
import android.os.Looper
import androidx.compose.runtime.getValue
import androidx.compose.runtime.mutableStateOf
import androidx.compose.runtime.setValue
import androidx.lifecycle.AndroidViewModel
import java.util.concurrent.Executor
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.ThreadPoolExecutor
import java.util.concurrent.ThreadPoolExecutor.DiscardPolicy
import java.util.concurrent.TimeUnit
import org.mobilecv.app.engine.Choice
import org.mobilecv.app.engine.Processor
import org.mobilecv.app.engine.openEngine
import org.mobilecv.core.Bundle
import org.mobilecv.core.Pixels

/**
 * Holds the state of the screen and hands the work to one inference thread.
 *
 * One thread, because an engine answers one image at a time, and a photo must not slow down the
 * frame that is being timed.
 */
class AppModel(application: Application) : AndroidViewModel(application) {
    var state: UiState by mutableStateOf(UiState())
        private set

    /** Discards what comes after its end: a last frame of a camera that is being closed. */
    private val inference =
        ThreadPoolExecutor(1, 1, 0, TimeUnit.SECONDS, LinkedBlockingQueue(), DiscardPolicy())
    private val main = Handler(Looper.getMainLooper())
    private val resolver = application.contentResolver
    private val assets = application.assets

    /** Of the inference thread only. */
    private var classifier: Classifier? = null

    /** Where camera frames are to be analysed. */
    val frames: Executor get() = inference

    init {
        inThread(failed = { message -> copy(stage = Stage.Broken(message)) }) { load() }
    }

    fun show(tab: Tab) = update { copy(tab = tab) }

    /** From 0, everything is shown, to 1. */
    fun hideBelow(threshold: Float) = update { copy(threshold = threshold) }

    /** Takes another artifact, processor or number of threads; earlier answers are of the old one. */
    fun choose(choice: Choice) = update {
        when (stage) {
            is Stage.Ready -> copy(
                stage = stage.copy(choice = choice),
                live = Outcome.Nothing,
                photo = Outcome.Nothing,
                check = Check.NotRun,
            )
            else -> this
        }
    }

    /** Classifies a picked photo. */
    fun classify(uri: Uri) {
        val choice = choice() ?: return
        update { copy(photo = Outcome.Working) }
        inThread(failed = { message -> copy(photo = Outcome.Failed(message)) }) {
            val answer = loaded().classify(decodePhoto(resolver, uri), choice)
            postUnlessChosenAnew(choice) { copy(photo = Outcome.Answered(answer)) }
        }
    }

    /** Classifies an upright camera frame. Called on the inference thread. */
    fun classifyFrame(read: () -> Pixels) {
        val choice = choice() ?: return
        attempt(failed = { message -> copy(live = Outcome.Failed(message)) }) {
            val answer = loaded().classify(read(), choice)
            postUnlessChosenAnew(choice) { copy(live = Outcome.Answered(answer)) }
        }
    }

    fun cameraFailed(message: String) = update { copy(live = Outcome.Failed(message)) }

    /** Runs the golden images. */
    fun check() {
        val choice = choice() ?: return
        update { copy(check = Check.Running) }
        inThread(failed = { message -> copy(check = Check.Failed(message)) }) {
            val answers = loaded().checkGolden(choice)
            postUnlessChosenAnew(choice) { copy(check = Check.Done(answers, choice)) }
        }
    }

    override fun onCleared() {
        inference.execute { classifier?.close() }
        inference.shutdown()
    }

    private fun load() {
        val bundle = Bundle.open(AssetFiles(assets))
        if (bundle == null) return post { copy(stage = Stage.NoModel) }
        classifier = Classifier(bundle) { choice -> openEngine(assets, bundle, choice) }
        val choice = Choice(bundle.artifacts.first(), Processor.CPU, threads = 1)
        post { copy(stage = Stage.Ready(bundle, choice)) }
    }

    private fun choice(): Choice? = (state.stage as? Stage.Ready)?.choice

    private fun loaded(): Classifier = checkNotNull(classifier) { "no bundle is loaded" }

    private fun inThread(failed: UiState.(String) -> UiState, work: () -> Unit) {
        inference.execute { attempt(failed, work) }
    }

    /** Nothing that goes wrong with a photo or a model may end the app: all becomes a message. */
    private fun attempt(failed: UiState.(String) -> UiState, work: () -> Unit) {
        try {
            work()
        } catch (error: Exception) {
            post { failed(messageOf(error)) }
        } catch (error: OutOfMemoryError) {
            post { failed(messageOf(error)) }
        } catch (error: LinkageError) {
            post { failed(messageOf(error)) }
        }
    }

    private fun postUnlessChosenAnew(choice: Choice, change: UiState.() -> UiState) =
        post { if (choice() == choice) change() else this }

    private fun post(change: UiState.() -> UiState) {
        main.post { update(change) }
    }

    private fun update(change: UiState.() -> UiState) {
        state = state.change()
    }
}
