"""The other task: holes of pictures are filled, and what fills them is scored by the share that is missing."""
