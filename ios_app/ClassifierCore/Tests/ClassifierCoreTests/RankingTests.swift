import XCTest

import ClassifierCore

final class RankingTests: XCTestCase {
    func testTheLargestScoresComeFirstAndOfEqualOnesTheLowestIndex() throws {
        for ranking in try GoldenVectors.load().cases.topK {
            XCTAssertEqual(topK(ranking.scores, ranking.k).map(\.index), ranking.indices)
        }
    }

    func testMoreLabelsThanThereAreIsAllOfThem() {
        XCTAssertEqual(topK([0.25, 0.75], 9).map(\.index), [1, 0])
        XCTAssertEqual(topK([0.25, 0.75], 0), [])
    }

    func testAnAnswerThatIsCloseAgrees() {
        let tolerance = Tolerance.on(.float16, isCPU: false)
        let agreement = Agreement(
            answer: [0.11, 0.89], recorded: [0.1, 0.9], tolerance: tolerance)
        XCTAssertTrue(agreement.agrees)
        XCTAssertEqual(agreement.largestDifference, 0.01, accuracy: 1e-6)
    }

    func testAnotherFirstLabelDoesNotAgree() {
        let tolerance = Tolerance.on(.int8, isCPU: false)
        let agreement = Agreement(
            answer: [0.6, 0.4], recorded: [0.4, 0.6], tolerance: tolerance)
        XCTAssertFalse(agreement.agrees)
    }

    func testAnotherFirstLabelIsForgivenWhenTheFirstTwoAreATie() {
        let tolerance = Tolerance.on(.float16, isCPU: false)
        let agreement = Agreement(
            answer: [0.501, 0.499], recorded: [0.499, 0.501], tolerance: tolerance)
        XCTAssertTrue(agreement.agrees)
    }

    func testANumberThatIsNoneOrAMissingScoreDoesNotAgree() {
        let tolerance = Tolerance.on(.int8, isCPU: false)
        for answer: [Float] in [[.nan, 1], [1], []] {
            let agreement = Agreement(answer: answer, recorded: [0, 1], tolerance: tolerance)
            XCTAssertFalse(agreement.agrees, "\(answer)")
        }
    }

    func testFloat32IsHeldMoreTightlyOnTheCPU() {
        let onCPU = Tolerance.on(.float32, isCPU: true)
        let elsewhere = Tolerance.on(.float32, isCPU: false)
        XCTAssertLessThan(onCPU.largestDifference, elsewhere.largestDifference)
    }
}
