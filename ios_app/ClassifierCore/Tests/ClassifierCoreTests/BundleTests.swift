import XCTest

import ClassifierCore

/// Bundles are written into a temporary folder, file by file.
final class BundleTests: XCTestCase {
    private var folder = URL(fileURLWithPath: "/")

    override func setUpWithError() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try write(golden, to: "golden.json")
        try write("png", to: "000.png")
        try write("cat\ndog\n", to: "labels.txt")
        try write(manifest(), to: "mobilecv.json")
    }

    override func tearDownWithError() throws {
        try FileManager.default.removeItem(at: folder)
    }

    func testABundleIsRead() throws {
        let bundle = try BundleFolder.open(folder)
        XCTAssertEqual(bundle.labels, ["cat", "dog"])
        XCTAssertEqual(bundle.manifest.image.fit, .pad)
        XCTAssertEqual(bundle.manifest.image.resample, .bicubic)
        XCTAssertEqual(bundle.manifest.artifacts.map(\.precision), [.float16, .int8])
        XCTAssertEqual(bundle.manifest.artifacts.map(\.isCoreML), [true, false])
    }

    func testGoldenImagesAreReadThoughXcodeCopiedThemFlat() throws {
        let images = try BundleFolder.open(folder).golden()
        XCTAssertEqual(images.map(\.name), ["000.png"])
        XCTAssertEqual(images.map(\.scores), [[0.25, 0.75]])
    }

    func testAFolderWithoutManifestIsRefused() throws {
        try FileManager.default.removeItem(at: folder.appendingPathComponent("mobilecv.json"))
        try refuses(saying: "mobilecv.json is missing")
    }

    func testAnotherKindOfFileIsRefused() throws {
        try write("{\"format\": \"other\", \"version\": 1}", to: "mobilecv.json")
        try refuses(saying: "not the manifest")
    }

    func testALaterVersionIsRefusedByItsNumber() throws {
        try write(
            manifest().replacingOccurrences(of: "\"version\": 1", with: "\"version\": 2"),
            to: "mobilecv.json")
        try refuses(saying: "version 2")
    }

    func testAMissingFieldIsNamed() throws {
        try write(
            manifest().replacingOccurrences(of: "\"width\": 5,", with: ""), to: "mobilecv.json")
        try refuses(saying: "\"width\" is missing at image")
    }

    func testAnUnknownFitIsRefusedByName() throws {
        try write(
            manifest().replacingOccurrences(of: "\"pad\"", with: "\"tile\""), to: "mobilecv.json")
        try refuses(saying: "tile")
    }

    func testAnswersThatAreNoProbabilitiesAreRefused() throws {
        for kind in ["regression", "oracle"] {
            try write(
                manifest().replacingOccurrences(of: "multi-label", with: kind),
                to: "mobilecv.json")
            try refuses(saying: "head is \"\(kind)\"")
        }
    }

    func testAnImageWithoutPixelsIsRefused() throws {
        try write(
            manifest().replacingOccurrences(of: "\"width\": 5", with: "\"width\": 0"),
            to: "mobilecv.json")
        try refuses(saying: "0x4")
    }

    func testAlteredLabelsAreRefused() throws {
        try write("dog\ncat\n", to: "labels.txt")
        try refuses(saying: "labels.txt has changed")
    }

    func testAnAlteredGoldenImageIsRefused() throws {
        try write("gnp", to: "000.png")
        XCTAssertThrowsError(try BundleFolder.open(folder).golden()) { error in
            XCTAssertTrue(error.localizedDescription.contains("000.png has changed"))
        }
    }

    func testAPathThatLeadsOutOfTheBundleIsRefused() throws {
        for path in ["../golden/golden.json", "/golden.json", "a/../../b"] {
            try write(
                manifest().replacingOccurrences(of: "golden/golden.json", with: path),
                to: "mobilecv.json")
            try refuses(saying: "leads out of the bundle")
        }
    }

    func testNoManifestIsNoModelRatherThanAFailure() throws {
        try FileManager.default.removeItem(at: folder.appendingPathComponent("mobilecv.json"))
        XCTAssertNil(try ModelFinder.find(in: folder))
    }

    func testAModelIsFoundByTheNameThatTheManifestGivesIt() throws {
        try makeFolder("other.mlmodelc")
        XCTAssertThrowsError(try ModelFinder.find(in: folder)) { error in
            XCTAssertTrue(error.localizedDescription.contains("not pets.mlpackage"))
        }
        try makeFolder("pets.mlmodelc")
        let model = try XCTUnwrap(ModelFinder.find(in: folder))
        XCTAssertEqual(model.compiledModel.lastPathComponent, "pets.mlmodelc")
        XCTAssertEqual(model.artifact.id, "pets.mlpackage")
        XCTAssertEqual(model.labels, ["cat", "dog"])
    }

    func testAnImportedBundleIsFoundAgain() throws {
        try layOutAsExported()
        let installed = try install()
        XCTAssertEqual(try found()?.compiledModel.path, installed.compiledModel.path)
        XCTAssertEqual(try installed.bundle.golden().map(\.name), ["000.png"])
        try BundleInstaller.remove(target)
        XCTAssertNil(try found())
    }

    func testAnImportThatFailsLeavesTheEarlierOneAsItWas() throws {
        try layOutAsExported()
        let earlier = try install()
        try write("gnp", to: "golden/000.png")
        XCTAssertThrowsError(try install())
        XCTAssertEqual(try found()?.compiledModel.path, earlier.compiledModel.path)
        XCTAssertEqual(try found()?.bundle.golden().count, 1)
    }

    func testABundleWithoutCoreMLFileCannotBeImported() throws {
        XCTAssertThrowsError(try BundleInstaller.coreMLFile(of: BundleFolder.open(folder))) {
            XCTAssertTrue($0.localizedDescription.contains("holds no Core ML file"))
        }
    }

    func testLabelsAreReadAsEditorsSaveThem() throws {
        XCTAssertEqual(try parseLabels(Data("\u{FEFF}cat\r\n dog \r\n\r\n".utf8)), ["cat", "dog"])
        XCTAssertEqual(try parseLabels(Data("caf\u{E9}\nd\u{F8}g\n".utf8)), ["caf\u{E9}", "d\u{F8}g"])
    }

    func testEmptyRepeatedAndUnreadableLabelsAreRefused() {
        for text in ["cat\n\ndog\n", "cat\ncat\n", "\n"] {
            XCTAssertThrowsError(try parseLabels(Data(text.utf8)), text)
        }
        XCTAssertThrowsError(try parseLabels(Data([0xFF, 0xFE, 0x41])))
    }

    /// The examples of FIPS 180-4's companion "SHA-256.pdf", and a million times "a".
    func testTheDigestIsSHA256() {
        XCTAssertEqual(
            sha256([]), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        XCTAssertEqual(
            sha256(Array("abc".utf8)),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        XCTAssertEqual(
            sha256(Array("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".utf8)),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
        XCTAssertEqual(
            sha256([UInt8](repeating: 97, count: 1_000_000)),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
    }

    private var target: URL { folder.appendingPathComponent("support/ImportedBundle") }

    /// Golden files in their folder, and a Core ML file, as `mobilecv export` writes them.
    private func layOutAsExported() throws {
        try makeFolder("golden")
        try makeFolder("support")
        for name in ["golden.json", "000.png"] {
            try FileManager.default.moveItem(
                at: folder.appendingPathComponent(name),
                to: folder.appendingPathComponent("golden").appendingPathComponent(name))
        }
        try makeFolder("pets.mlpackage")
    }

    private func found() throws -> InstalledModel? {
        try ModelFinder.find(in: target)
    }

    private func install() throws -> InstalledModel {
        try makeFolder("compiled.mlmodelc")
        let bundle = try BundleFolder.open(folder)
        return try BundleInstaller.install(
            bundle, compiledModel: folder.appendingPathComponent("compiled.mlmodelc"),
            of: BundleInstaller.coreMLFile(of: bundle), into: target)
    }

    private func makeFolder(_ name: String) throws {
        try FileManager.default.createDirectory(
            at: folder.appendingPathComponent(name), withIntermediateDirectories: true)
    }

    private func refuses(saying words: String) throws {
        XCTAssertThrowsError(try BundleFolder.open(folder)) { error in
            let message = error.localizedDescription
            XCTAssertTrue(message.contains(words), message)
        }
    }

    private func write(_ text: String, to name: String) throws {
        try Data(text.utf8).write(to: folder.appendingPathComponent(name))
    }

    private var golden: String {
        """
        {"images": [{"file": "000.png", "sha256": "\(sha256(Array("png".utf8)))",
        "scores": [0.25, 0.75]}]}
        """
    }

    private func manifest() -> String {
        """
        {"format": "mobilecv-bundle", "version": 1, "name": "pets",
        "image": {"height": 4, "width": 5, "channels": 3, "fit": "pad", "crop_fraction": 1.0,
        "resample": "bicubic"},
        "preprocessing": {"color": "RGB", "scale": [1.0], "bias": [0.0]},
        "head": {"kind": "multi-label"},
        "labels": {"file": "labels.txt", "count": 2, "origin": "labels.txt",
        "sha256": "\(sha256(Array("cat\ndog\n".utf8)))"},
        "golden": {"origin": "photos", "file": "golden/golden.json",
        "sha256": "\(sha256(Array(golden.utf8)))"},
        "artifacts": [\(artifact("pets.mlpackage", "float16")), \(artifact("pets.tflite", "int8"))]}
        """
    }

    private func artifact(_ file: String, _ precision: String) -> String {
        """
        {"id": "\(file)", "file": "\(file)", "precision": "\(precision)",
        "input": {"name": "image", "dtype": "uint8", "layout": "image"},
        "output": {"name": "probabilities", "dtype": "dictionary"}}
        """
    }
}
