extension Pixels {
    /// Rules 4 to 6: from an upright sRGB picture to the exact pixels that the model takes.
    ///
    /// The rules stand in `runtime/mobilecv_runtime/images.py`, which is the reference.
    ///
    /// - Returns: A picture of `image.width` x `image.height` with `image.channels` channels.
    /// - Throws: `BundleError` if a gray picture is given to a model of three channels.
    public func prepared(for image: ImageInput) throws -> Pixels {
        let colored = image.channels == 1 ? gray() : self
        guard colored.channels == image.channels else {
            throw BundleError("The model takes RGB pixels, but the picture is gray.")
        }
        switch image.fit {
        case .crop:
            let box = cropBox(width: width, height: height, image: image)
            return colored.cropped(to: box).resized(
                width: image.width, height: image.height, by: image.resample)
        case .stretch:
            return colored.resized(width: image.width, height: image.height, by: image.resample)
        case .pad:
            let inner = paddedSize(width: width, height: height, image: image)
            return colored.resized(width: inner.width, height: inner.height, by: image.resample)
                .framed(width: image.width, height: image.height)
        }
    }

    /// Rule 6: resample to another size; a picture of that size is returned as it is.
    func resized(width newWidth: Int, height newHeight: Int, by resample: ImageInput.Resample)
        -> Pixels
    {
        if newWidth == width && newHeight == height { return self }
        switch resample {
        case .nearest:
            return nearest(width: newWidth, height: newHeight)
        case .bilinear:
            return filtered(width: newWidth, height: newHeight, filter: .triangle)
        case .bicubic:
            return filtered(width: newWidth, height: newHeight, filter: .cubic)
        }
    }
}
