"""Classifies photos with MediaPipe: `python classify_by_mediapipe.py MODEL PHOTO ...`.

It warns and logs a lot, so it has a process of its own.
"""

from __future__ import annotations

import json
import sys

import mediapipe as mp
from mediapipe.tasks.python import BaseOptions
from mediapipe.tasks.python.vision import ImageClassifier, ImageClassifierOptions


def main(model: str, photos: list[str]) -> None:
    """Print the scores of each photo by label."""
    options = ImageClassifierOptions(BaseOptions(model_asset_path=model))
    answers = []
    with ImageClassifier.create_from_options(options) as classifier:
        for path in photos:
            result = classifier.classify(mp.Image.create_from_file(path))
            best = result.classifications[0].categories
            answers.append({each.category_name: each.score for each in best})
    print("ANSWERS" + json.dumps(answers))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
