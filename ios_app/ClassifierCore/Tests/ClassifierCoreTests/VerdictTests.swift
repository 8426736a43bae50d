import XCTest

import ClassifierCore

/// The rule of `docs/apps.md`, which is that of `mobilecv_runtime/parity.py`.
final class VerdictTests: XCTestCase {
    private let int8 = Tolerance.on(.int8, isCPU: true)
    private let float16 = Tolerance.on(.float16, isCPU: true)
    private let float32 = Tolerance.on(.float32, isCPU: true)

    func testANearTieIsJudgedByTheLabelThatWasFoundNotByTheSecondOne() {
        let recorded: [Float] = [0.47, 0.46, 0.07]
        func verdict(_ answer: [Float]) -> Agreement.Verdict {
            Agreement(answer: answer, recorded: recorded, tolerance: int8).verdict
        }
        XCTAssertEqual(verdict([0.4, 0.5, 0.1]), .nearTie)
        XCTAssertEqual(verdict([0.3, 0.3, 0.4]), .differs)
    }

    func testANearTieWithOtherNumbersDiffersInAFloatFile() {
        let recorded: [Float] = [0.505, 0.495]
        func verdict(_ answer: [Float]) -> Agreement.Verdict {
            Agreement(answer: answer, recorded: recorded, tolerance: float16).verdict
        }
        XCTAssertEqual(verdict([0.495, 0.505]), .nearTie)
        XCTAssertEqual(verdict([0.45, 0.55]), .differs)
    }

    func testTheBoundsOfANearTieArePythons() {
        let tolerances = [Precision.float32, .float16, .int8Weights, .int8]
            .map { Tolerance.on($0, isCPU: true) }
        XCTAssertEqual(tolerances.map(\.nearTie), [2e-5, 2e-2, 0.1, 0.1])
        XCTAssertEqual(tolerances.map(\.agreement), [1, 1, 0.97, 0.97])
    }

    func testOneImageNeverDecidesOverAnInt8FileAndAlwaysOverAFloatFile() {
        let fifteen = answers(agreeing: 15, differing: 1)
        XCTAssertTrue(int8.accepts(fifteen))
        XCTAssertFalse(float32.accepts(fifteen))
        XCTAssertFalse(int8.accepts(answers(agreeing: 14, differing: 2)))
    }

    func testNearTiesCountForNeitherSide() {
        XCTAssertTrue(float32.accepts(answers(nearTies: 16)))
        XCTAssertTrue(int8.accepts(answers(agreeing: 98, differing: 3)))
        XCTAssertFalse(int8.accepts(answers(agreeing: 50, nearTies: 48, differing: 3)))
    }

    func testNoImagesAndNoNumbersAreNoProof() {
        let broken = Agreement(answer: [.nan, 1], recorded: [0, 1], tolerance: int8)
        XCTAssertFalse(int8.accepts([]))
        XCTAssertFalse(int8.accepts([broken] + answers(agreeing: 15)))
    }

    private func answers(agreeing: Int = 0, nearTies: Int = 0, differing: Int = 0) -> [Agreement] {
        [([0.9, 0.1], agreeing), ([0.48, 0.52], nearTies), ([0.2, 0.8], differing)].flatMap {
            (recorded: [Float], count: Int) in
            let answer: [Float] = recorded[0] > 0.5 ? recorded : [0.52, 0.48]
            let one = Agreement(answer: answer, recorded: recorded, tolerance: int8)
            return Array(repeating: one, count: count)
        }
    }
}
