#!/bin/sh
# driver.sh amd|nvk|adreno|agx PROGRAM [ARGUMENT ...]: runs a program with one of the Vulkan drivers
# that lab.sh fetched and its null device. A variable picks the chip, see src/chips.rs. Nothing runs
# on the device. The drivers want a newer C library than the system may have, so its loader starts
# the program.
set -eu
mesa=${LAB:?}/mesa26
lib=$mesa/root/usr/lib/x86_64-linux-gnu
case $1 in
amd) icd=radeon shim=amdgpu ;;
nvk) icd=nouveau shim=nouveau ;;
adreno) icd=freedreno shim=freedreno ;;
agx) icd=asahi shim=asahi ;;
*) echo "no driver $1" >&2; exit 2 ;;
esac
shift
export VK_DRIVER_FILES="$mesa/icd/$icd.json" VK_ICD_FILENAMES="$mesa/icd/$icd.json"
export XDG_RUNTIME_DIR="$mesa/xdg" MESA_SHADER_CACHE_DISABLE=1 NODEVICE_SELECT=1
export NVK_I_WANT_A_BROKEN_VULKAN_DRIVER=1
# A driver that runs away ends itself, not its neighbours.
ulimit -v 8000000
exec "$mesa/root/usr/lib64/ld-linux-x86-64.so.2" --library-path "$lib" \
    --preload "$lib/lib${shim}_noop_drm_shim.so" "$@"
