import ClassifierCore
import XCTest

@testable import Classifier

/// The model in the app against the scores that were recorded when it was exported.
///
/// Runs in the app, on a device or in the simulator. Without a model in the folder Model there is
/// nothing to check, and the tests say that they were skipped.
final class BundledModelTests: XCTestCase {
    func testTheModelAnswersLikeTheTrainedOneOnTheCPU() async throws {
        try await assertAgreement(on: .cpu)
    }

    func testTheModelAnswersLikeTheTrainedOneWhereverCoreMLComputes() async throws {
        try await assertAgreement(on: .all)
    }

    func testGoldenImagesHaveTheModelsSize() throws {
        let model = try bundledModel()
        for image in try model.bundle.golden() {
            let pixels = try PhotoDecoder.storedPixels(image.png, channels: model.image.channels)
            XCTAssertEqual(pixels.width, model.image.width, image.name)
            XCTAssertEqual(pixels.height, model.image.height, image.name)
        }
    }

    func testAPhotoIsClassifiedOnTheExactAndOnTheSystemPath() async throws {
        let model = try bundledModel()
        let image = try XCTUnwrap(model.bundle.golden().first)
        let photo = try PhotoDecoder.decode(image.png)
        let engine = InferenceEngine(model, units: .cpu)
        for path in PixelPath.allCases {
            let answer = try await engine.classify(photo, by: path)
            XCTAssertEqual(answer.scores.count, model.labels.count)
            XCTAssertEqual(answer.scores.reduce(0, +), 1, accuracy: 0.01, path.rawValue)
        }
    }

    private func assertAgreement(on units: ComputeUnits) async throws {
        let check = try await SelfCheck.run(bundledModel(), units: units)
        let differing = check.rows.filter { !$0.agreement.agrees }
        XCTAssertTrue(check.isRight, "\(differing)")
    }

    private func bundledModel() throws -> InstalledModel {
        guard let model = try ModelFinder.find(in: Bundle.main.bundleURL) else {
            throw XCTSkip("Put a bundle into the folder Model first; see Model/README.md.")
        }
        return model
    }
}
