import java.io.ByteArrayInputStream
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import javax.imageio.ImageIO
import org.mobilecv.core.Bundle
import org.mobilecv.core.BundleFiles
import org.mobilecv.core.Pixels
import org.mobilecv.core.Tolerance
import org.mobilecv.core.compare
import org.mobilecv.core.decoded
import org.mobilecv.core.encoded
import org.mobilecv.core.prepare

/**
 * The app's self-check cut in two, so that Python's LiteRT can stand between the halves where there is
 * no phone. `write BUNDLE TENSORS` writes `<artifact>-<number>.in` for every golden image;
 * `judge BUNDLE TENSORS` reads `<artifact>-<number>.out` and prints artifact, verdict, label.
 */
fun main(words: Array<String>) {
    val bundle = checkNotNull(Bundle.open(Folder(File(words[1]))))
    val tensors = File(words[2])
    for (artifact in bundle.artifacts) {
        bundle.model(artifact)
        for ((number, image) in bundle.golden().withIndex()) {
            val name = "${artifact.id}-$number"
            if (words[0] == "write") {
                val photo = pixels(bundle.png(image))
                val input = artifact.input.encoded(prepare(photo, bundle.manifest.image.whole))
                tensors.resolve("$name.in").writeBytes(ByteArray(input.remaining()).also { input.get(it) })
            } else {
                val output = ByteBuffer.wrap(tensors.resolve("$name.out").readBytes())
                val scores = artifact.output.decoded(output.order(ByteOrder.nativeOrder()), bundle.labels.count)
                val answer = bundle.labels.compare(image, Tolerance.of(artifact.precision), scores)
                println("${artifact.id} ${answer.verdict} ${answer.found}")
            }
        }
    }
}

private fun pixels(png: ByteArray): Pixels {
    val picture = ImageIO.read(ByteArrayInputStream(png))
    return Pixels.fromArgb(picture.width, picture.height) { y, row ->
        picture.getRGB(0, y, row.size, 1, row, 0, row.size)
    }
}

private class Folder(private val folder: File) : BundleFiles {
    override fun has(path: String) = folder.resolve(path).exists()

    override fun read(path: String): ByteBuffer = ByteBuffer.wrap(folder.resolve(path).readBytes())
}
