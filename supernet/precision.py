"""Which precision a device computes fast in."""

from __future__ import annotations

import os

import torch

# oneDNN, which multiplies matrices in bfloat16 on a CPU, compiles a kernel for each shape it meets: 1 to 3 ms where
# running it takes 0.2 ms. It keeps the last 1024, too few for a supernet with its many widths and batch lengths even
# where they are rounded. With 4096 a training found nearly all of them there after some hundred steps, and a step took
# two thirds of the time, but long work grew to 5 GB. A kernel takes 0.67 MB: after products of 5472 shapes (up to 640
# rows of a MiniLM's) a process had grown by 3.1 GB with 4096 kept, by 2.0 GB with 2048, by 1.4 GB with 1024 and by
# 1.1 GB with 512, all in the same time. Read when the first kernel is compiled; what the environment says counts.
KEPT_KERNELS = 2048
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(KEPT_KERNELS))


def resolve_precision(precision: str, device: torch.device) -> torch.dtype:
    """Turn `auto`, `float32` or `bfloat16` into a dtype.

    `auto` takes bfloat16 where the hardware multiplies matrices in it: AMX or AVX-512 BF16 on an Intel or AMD
    processor, Ampere and later on NVIDIA. Elsewhere PyTorch emulates it, slower than float32.
    """
    if precision != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    if device.type == "cpu":
        return torch.bfloat16 if _cpu_multiplies_bfloat16() else torch.float32
    return torch.float32


def _cpu_multiplies_bfloat16() -> bool:
    # The public name appeared after 2.6; older versions had it with an underscore.
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    if capabilities:
        return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
    return any(getattr(torch.cpu, name, bool)() for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"))


def width_multiple(dtype: torch.dtype, device: torch.device) -> int:
    """Return the multiple that widths are to be filled up to, so that there are few: see `KEPT_KERNELS`."""
    return 128 if device.type == "cpu" and dtype == torch.bfloat16 else 1
