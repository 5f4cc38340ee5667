"""Ways to find instances in the light of a photo; each implements `datamodules.types.Detector`.

The detector called `annotations` is none of them: its boxes are drawn by people and stand in the dataset's own file, so
that no light is looked at. `bench.detection` copies them.
"""
