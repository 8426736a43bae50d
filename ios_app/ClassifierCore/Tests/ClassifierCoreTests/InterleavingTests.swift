import XCTest

import ClassifierCore

/// Rows are padded by bytes of 9, which nobody may touch or read.
final class InterleavingTests: XCTestCase {
    private let rgb: [UInt8] = [10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120]

    func testRGBIsWrittenAsBGRAWithFullAlpha() throws {
        let pixels = try Pixels(width: 2, height: 2, channels: 3, bytes: rgb)
        var memory = [UInt8](repeating: 9, count: 20)
        memory.withUnsafeMutableBufferPointer { buffer in
            if let base = buffer.baseAddress { pixels.write(to: base, rowBytes: 10) }
        }
        XCTAssertEqual(
            memory,
            [30, 20, 10, 255, 60, 50, 40, 255, 9, 9, 90, 80, 70, 255, 120, 110, 100, 255, 9, 9])
    }

    func testGrayIsWrittenAsItIs() throws {
        let pixels = try Pixels(width: 2, height: 2, channels: 1, bytes: [1, 2, 3, 4])
        var memory = [UInt8](repeating: 9, count: 6)
        memory.withUnsafeMutableBufferPointer { buffer in
            if let base = buffer.baseAddress { pixels.write(to: base, rowBytes: 3) }
        }
        XCTAssertEqual(memory, [1, 2, 9, 3, 4, 9])
    }

    func testWhatWasWrittenIsReadBack() throws {
        let pixels = try Pixels(width: 2, height: 2, channels: 3, bytes: rgb)
        var memory = [UInt8](repeating: 9, count: 20)
        let read = try memory.withUnsafeMutableBufferPointer { buffer in
            let base = try XCTUnwrap(buffer.baseAddress)
            pixels.write(to: base, rowBytes: 10)
            return try Pixels.read(.bgra, from: base, width: 2, height: 2, rowBytes: 10)
        }
        XCTAssertEqual(read, pixels)
    }

    func testTheFourthByteIsDropped() throws {
        let memory: [UInt8] = [10, 20, 30, 1, 40, 50, 60, 2, 9, 70, 80, 90, 3, 100, 110, 120, 4, 9]
        let read = try memory.withUnsafeBufferPointer { buffer in
            try Pixels.read(
                .rgbx, from: XCTUnwrap(buffer.baseAddress), width: 2, height: 2, rowBytes: 9)
        }
        XCTAssertEqual(read.bytes, rgb)
    }

    func testAGrayPictureInThreeChannelsIsGrayAgain() throws {
        let gray = try Pixels(width: 256, height: 1, channels: 1, bytes: Array(0...255))
        XCTAssertEqual(gray.colored().channels, 3)
        XCTAssertEqual(gray.colored().gray(), gray)
    }
}
