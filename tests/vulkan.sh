#!/bin/sh
# Where there is no Vulkan driver, installs Mesa's software one (Debian, Ubuntu: as root or through sudo) and says what to
# install elsewhere. Other tests call it.
set -eu

# macOS has Metal and Windows has DX12; only elsewhere a driver may be missing.
case "$(uname -s)" in
Darwin | MINGW* | MSYS* | CYGWIN*) exit ;;
esac
[ -z "${VK_ICD_FILENAMES:-}${VK_DRIVER_FILES:-}" ] || exit 0
for folder in /usr/share/vulkan/icd.d /usr/local/share/vulkan/icd.d /etc/vulkan/icd.d \
    "${XDG_DATA_HOME:-$HOME/.local/share}/vulkan/icd.d"; do
    for file in "$folder"/*.json; do
        [ ! -e "$file" ] || exit 0
    done
done
echo "No Vulkan driver was found: Mesa's software one is needed. Its package is mesa-vulkan-drivers"
echo "on Debian and Fedora, vulkan-swrast on Arch, mesa-vulkan-swrast on Alpine."
exec sh "$(dirname "$0")/install.sh" mesa-vulkan-drivers libvulkan1
