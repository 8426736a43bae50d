package org.mobilecv.core

/** How a photo of another shape becomes the model's image. */
enum class Fit(internal val word: String) {
    /** Its centre. */
    CROP("crop"),

    /** The whole photo, its shape changed. */
    STRETCH("stretch"),

    /** The whole photo inside a black frame. */
    PAD("pad"),
}

/** The resampling filters, by Pillow's names. */
enum class Filter(internal val word: String) {
    BILINEAR("bilinear"),
    BICUBIC("bicubic"),
    NEAREST("nearest"),
}

/**
 * The geometry of the one image that every artifact takes: `image` in the manifest.
 *
 * @property height Rows in pixels, at least 1.
 * @property width Columns in pixels, at least 1.
 * @property channels 3 for RGB pixels, 1 for gray ones.
 * @property cropFraction With [Fit.CROP]: which share, in (0, 1], of the largest central box is kept.
 */
data class ImageInput(
    val height: Int,
    val width: Int,
    val channels: Int,
    val fit: Fit,
    val cropFraction: Double,
    val filter: Filter,
) {
    /** How many bytes one prepared image has. */
    val byteCount: Int get() = height * width * channels

    /** The same image for pictures that are prepared already, such as golden images. */
    val whole: ImageInput get() = copy(cropFraction = 1.0)

    internal companion object {
        fun read(fields: Fields): ImageInput {
            val fit = fields.word("fit", Fit.entries.map { it.word })
            val filter = fields.word("resample", Filter.entries.map { it.word })
            val channels = fields.count("channels", least = 1)
            val fraction = fields.number("crop_fraction")
            if (channels != 1 && channels != 3) {
                throw BundleException("image.channels is $channels; expected 1 or 3")
            }
            if (fraction <= 0 || fraction > 1) {
                throw BundleException("image.crop_fraction is $fraction; expected above 0 and at most 1")
            }
            return ImageInput(
                height = fields.count("height", least = 1),
                width = fields.count("width", least = 1),
                channels = channels,
                fit = Fit.entries.first { it.word == fit },
                cropFraction = fraction,
                filter = Filter.entries.first { it.word == filter },
            )
        }
    }
}
