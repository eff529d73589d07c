#!/usr/bin/env bash
# Run tests with the compiled kernels built for the address and undefined-behaviour sanitizers.
#
#   scripts/sanitize.sh [pytest arguments]        default: tests/kernels tests/unit/factor
#
# Needs g++ with libasan and libubsan, and an environment with the build and test dependencies (PYTHON=...).
# Nothing in the tree or the installed package is touched: everything happens in a scratch folder
# (SCRATCH=..., kept; otherwise a temporary one, removed).
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${PYTHON:-python}
if [ -z "${SCRATCH:-}" ]; then
  SCRATCH=$(mktemp -d)
  trap 'rm -rf "$SCRATCH"' EXIT
fi
mkdir -p "$SCRATCH/package"
SCRATCH=$(cd "$SCRATCH" && pwd)
[ $# -gt 0 ] || set -- tests/kernels tests/unit/factor

flags="-fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=undefined"
flags+=" -fno-omit-frame-pointer -g -O1"
cmake -S "$root" -B "$SCRATCH/build" -G Ninja \
  -DCMAKE_CXX_COMPILER=g++ -DCMAKE_BUILD_TYPE=None -DCMAKE_CXX_FLAGS="$flags" \
  -DPython_EXECUTABLE="$(command -v "$python")" >"$SCRATCH/cmake.log" || { cat "$SCRATCH/cmake.log"; exit 1; }
cmake --build "$SCRATCH/build" >"$SCRATCH/build.log" || { tail -n 40 "$SCRATCH/build.log"; exit 1; }
rm -rf "$SCRATCH/package/mixeff"
cp -r "$root/src/mixeff" "$SCRATCH/package/"
rm -rf "$SCRATCH/tree"
mkdir "$SCRATCH/tree"
cp -r "$root/tests" "$root/benchmarks" "$root/pyproject.toml" "$SCRATCH/tree/"
find "$SCRATCH/package" -name '*.so' -delete
cmake --install "$SCRATCH/build" --prefix "$SCRATCH/package" >>"$SCRATCH/build.log"

# An editable installation of mixeff answers imports before the path does: its finder is taken away.
cat >"$SCRATCH/package/sitecustomize.py" <<'PYTHON'
import sys

sys.meta_path[:] = [f for f in sys.meta_path if "Redirecting" not in type(f).__name__]
PYTHON

cd "$SCRATCH/tree"
export MIXEFF_REFERENCE=${MIXEFF_REFERENCE:-$root/../shared/reference}
export PYTHONPATH="$SCRATCH/package" PYTHONMALLOC=malloc PYTHONDONTWRITEBYTECODE=1
export OPENBLAS_NUM_THREADS=1
# Python itself frees nothing at exit, so leaks are not looked for.
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0:strict_string_checks=1:detect_stack_use_after_return=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}
preload="$(g++ -print-file-name=libasan.so) $(g++ -print-file-name=libubsan.so) $(g++ -print-file-name=libstdc++.so)"
LD_PRELOAD="$preload" "$python" - <<'PYTHON'
import sys
from pathlib import Path

import mixeff.factor.kernels as kernels

folder = Path(kernels.__file__).parent
assert str(folder).startswith(sys.path[1] if sys.path[0] == "" else sys.path[0]), folder
maps = Path("/proc/self/maps").read_text()
assert "libasan" in maps and str(folder) in maps, "the sanitized kernels are not the ones loaded"
print("sanitized kernels:", folder)
PYTHON
LD_PRELOAD="$preload" "$python" -m pytest -q -p no:cacheprovider "$@"
