"""From a float artifact to smaller ones: value ranges on photos, recipes, and what came out."""
