import ClassifierCore
import SwiftUI

/// Does the model on this device still answer like the trained one?
struct SelfCheckScreen: View {
    @ObservedObject var session: ClassifierSession
    let installed: InstalledModel
    @State private var check: SelfCheck?
    @State private var failure: String?
    @State private var isRunning = false

    var body: some View {
        List {
            Section {
                Text("Runs the bundle's golden images and compares with the recorded scores.")
                Button("Run the self-check") { Task { await run() } }
                    .disabled(isRunning)
                if isRunning { ProgressView() }
                FailureNote(message: failure)
            }
            if let check { results(check) }
        }
        .onChange(of: installed) { forget() }
        .onChange(of: session.preferences.units) { forget() }
    }

    private func results(_ check: SelfCheck) -> some View {
        Section {
            Text(verdict(check))
                .font(.headline)
                .foregroundStyle(check.isRight ? Color.primary : Color.red)
            Text(difference(check))
            ForEach(check.rows) { row in
                HStack {
                    Image(systemName: row.agreement.agrees ? "checkmark.circle" : "xmark.octagon")
                        .foregroundStyle(row.agreement.agrees ? Color.green : Color.red)
                    Text(row.id)
                    Spacer()
                    Text(words(for: row))
                        .foregroundStyle(Color.secondary)
                }
            }
        }
    }

    private func verdict(_ check: SelfCheck) -> String {
        check.isRight
            ? "Right: \(check.agreed) of \(check.rows.count) golden images agree"
            : "Wrong: \(check.agreed) of \(check.rows.count) golden images agree"
    }

    /// A string of its own, since `Text` would write a number in it with six decimals.
    private func difference(_ check: SelfCheck) -> String {
        "Largest difference of probability: \(check.largestDifference)"
    }

    private func words(for row: SelfCheck.Row) -> String {
        let answered = label(row.agreement.answered)
        let expected = label(row.agreement.expected)
        if answered == expected { return answered }
        return row.agreement.verdict == .nearTie
            ? "near-tie: \(answered) for \(expected)" : "\(answered) instead of \(expected)"
    }

    private func label(_ index: Int) -> String {
        installed.labels.indices.contains(index) ? installed.labels[index] : "no answer"
    }

    private func forget() {
        check = nil
        failure = nil
    }

    private func run() async {
        isRunning = true
        defer { isRunning = false }
        forget()
        do {
            check = try await SelfCheck.run(installed, units: session.preferences.units)
        } catch {
            failure = error.localizedDescription
        }
    }
}
