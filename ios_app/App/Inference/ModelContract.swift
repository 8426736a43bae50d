import ClassifierCore
import CoreML
import CoreVideo

/// Whether a loaded model takes what its manifest says.
enum ModelContract {
    /// - Throws: `AppFailure` that says what the model takes and what the manifest promises.
    static func check(_ model: MLModel, against installed: InstalledModel) throws {
        let name = installed.artifact.input.name
        guard let input = model.modelDescription.inputDescriptionsByName[name],
            let constraint = input.imageConstraint
        else {
            throw AppFailure("The model has no image input \"\(name)\". Export it again.")
        }
        let image = installed.image
        guard constraint.pixelsWide == image.width, constraint.pixelsHigh == image.height else {
            throw AppFailure(
                "The model takes \(constraint.pixelsWide)x\(constraint.pixelsHigh) pixels, the "
                    + "manifest says \(image.width)x\(image.height). Export it again.")
        }
        let takesGray = constraint.pixelFormatType == kCVPixelFormatType_OneComponent8
        guard takesGray == (image.channels == 1) else {
            throw AppFailure(
                "The model takes \(takesGray ? "gray" : "color") pictures, the manifest says "
                    + "\(image.channels) channels. Export it again.")
        }
    }
}
