package org.mobilecv.app

import org.mobilecv.app.engine.Choice
import org.mobilecv.core.Bundle
import org.mobilecv.core.GoldenAnswer

/** Everything that the screen shows. A new one replaces the old; written on the main thread only. */
data class UiState(
    val stage: Stage = Stage.Loading,
    val tab: Tab = Tab.CAMERA,
    val threshold: Float = 0f,
    val live: Outcome = Outcome.Nothing,
    val photo: Outcome = Outcome.Nothing,
    val check: Check = Check.NotRun,
)

/** How far the app has come. */
sealed interface Stage {
    data object Loading : Stage

    /** There is no bundle in the app. */
    data object NoModel : Stage

    /** There is one that cannot be used. */
    data class Broken(val message: String) : Stage

    /** There is one, and it can be used. */
    data class Ready(val bundle: Bundle, val choice: Choice) : Stage
}

enum class Tab(val title: String) {
    CAMERA("Camera"),
    PHOTO("Photo"),
    CHECK("Self-check"),
    SETTINGS("Settings"),
}

/** What came of a photo or frame. */
sealed interface Outcome {
    data object Nothing : Outcome

    data object Working : Outcome

    data class Answered(val answer: Answer) : Outcome

    data class Failed(val message: String) : Outcome
}

/** What came of the golden images. */
sealed interface Check {
    data object NotRun : Check

    data object Running : Check

    data class Done(val answers: List<GoldenAnswer>, val choice: Choice) : Check {
        val isRight: Boolean get() = choice.tolerance.accepts(answers)
    }

    data class Failed(val message: String) : Check
}
