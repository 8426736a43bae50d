import XCTest

import ClassifierCore

/// A bundle as `mobilecv export` writes it, if the variable `MOBILECV_BUNDLE` names one.
final class RealBundleTests: XCTestCase {
    func testABundleOfMobilecvIsReadWithItsGoldenImages() throws {
        let named = ProcessInfo.processInfo.environment["MOBILECV_BUNDLE"] ?? ""
        try XCTSkipIf(named.isEmpty, "Set MOBILECV_BUNDLE to a bundle's folder.")
        let bundle = try BundleFolder.open(URL(fileURLWithPath: named))
        XCTAssertTrue(bundle.manifest.artifacts.contains { $0.isCoreML })
        let images = try bundle.golden()
        XCTAssertFalse(images.isEmpty)
        for image in images {
            XCTAssertEqual(image.scores.reduce(0, +), 1, accuracy: 1e-3, image.name)
            XCTAssertEqual(Array(image.png.prefix(4)), [0x89, 0x50, 0x4E, 0x47], image.name)
        }
    }
}
