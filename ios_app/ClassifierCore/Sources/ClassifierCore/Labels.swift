import Foundation

/// Read one label per line; a port of `Labels.parse` in `runtime/mobilecv_runtime/spec.py`.
///
/// A byte order mark, Windows line ends, white space around a label and empty last lines are dropped.
///
/// - Throws: `BundleError` if it is not UTF-8 text, or an empty or repeated label is left.
public func parseLabels(_ data: Data) throws -> [String] {
    guard var text = String(bytes: data, encoding: .utf8) else {
        throw BundleError("The label file is not UTF-8 text. Export the model again.")
    }
    if text.hasPrefix("\u{FEFF}") { text.removeFirst() }
    let lines = text.replacingOccurrences(of: "\r\n", with: "\n")
        .trimmingCharacters(in: .whitespacesAndNewlines)
        .components(separatedBy: "\n")
        .map { $0.trimmingCharacters(in: .whitespaces) }
    var seen: Set<String> = []
    for (index, label) in lines.enumerated() {
        guard !label.isEmpty else {
            throw BundleError("Label \(index + 1) is empty. Each class needs a name.")
        }
        guard seen.insert(label).inserted else {
            throw BundleError("Label \"\(label)\" stands more than once in the label file.")
        }
    }
    return lines
}
