import SwiftUI

/// Labels with their probabilities, and the time it took.
struct AnswerView: View {
    let shown: Shown?

    var body: some View {
        if let shown {
            VStack(spacing: 8) {
                ForEach(shown.lines) { line in
                    HStack {
                        Text(line.label)
                        Spacer()
                        Text(percent(line.probability))
                            .monospacedDigit()
                    }
                    ProgressView(value: Double(min(max(line.probability, 0), 1)))
                }
                if shown.lines.isEmpty {
                    Text("No label reaches the threshold.")
                }
                Text(shown.timing)
                    .font(.footnote)
                    .foregroundStyle(Color.secondary)
            }
        }
    }

    private func percent(_ probability: Float) -> String {
        let tenths = (probability * 1000).rounded() / 10
        return "\(tenths) %"
    }
}
