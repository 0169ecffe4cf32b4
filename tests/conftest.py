"""Being here puts this folder on the path, so that tests of any package can import its shared helpers."""

import os
import shutil

# Triton reads this when it is first imported, which torch does: without a GPU its kernels are interpreted.
if shutil.which("nvidia-smi") is None:
    os.environ.setdefault("TRITON_INTERPRET", "1")
