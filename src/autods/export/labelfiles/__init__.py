"""Label files beside images: text, JSON, YOLO, COCO, or what a user's function makes of a row."""

from autods.export.labelfiles.custom import Function
from autods.export.labelfiles.write import KINDS, LabelFiles, write_labels

__all__ = ["KINDS", "Function", "LabelFiles", "write_labels"]
