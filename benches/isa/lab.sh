# What run.sh, check.sh and fxc.sh share; they read this file. All that is downloaded or built lies
# in $LAB, and deleting that folder undoes it.
LAB=${CHANNELWISE_LAB:-$HOME/.cache/channelwise-lab}
mkdir -p "$LAB"
LAB=$(cd "$LAB" && pwd)
export LAB

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 2; }

need_debian() {
    [ "$(uname -sm)" = "Linux x86_64" ] && command -v apt-get >/dev/null ||
        die "This runs on Debian or Ubuntu, x86_64."
}

# Sets ISA to this folder's program, built if need be.
build_isa() {
    export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$LAB/isa-target}"
    cargo build --quiet --release --locked --manifest-path "$HERE/Cargo.toml"
    ISA=$CARGO_TARGET_DIR/release/channelwise-isa
}

# The Debian mirror that the system's own apt uses, or else the public one (Ubuntu has none).
debian_mirror() {
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
        awk '/^URIs:/ || /^deb[ \t]/ { for (i = 2; i <= NF; i++) if ($i ~ /\/debian\/?$/) { print $i; found = 1; exit } }
             END { if (!found) print "http://deb.debian.org/debian" }'
}

# Where Debian's signing keys lie. Ubuntu has them in a package, which its own keys vouch for.
debian_keys() {
    keys=usr/share/keyrings/debian-archive-keyring.gpg
    if [ ! -f "/$keys" ] && [ ! -f "$LAB/keys/$keys" ]; then
        mkdir -p "$LAB/keys"
        (cd "$LAB/keys" && apt-get download -qq debian-archive-keyring && dpkg -x debian-archive-keyring_*.deb .) >&2 ||
            die "Debian's keys are needed: install debian-archive-keyring (Ubuntu: universe)."
    fi
    if [ -f "/$keys" ]; then echo "/$keys"; else echo "$LAB/keys/$keys"; fi
}

# lab_apt FOLDER SUITES: makes apt work on a root of its own in FOLDER, so that neither the system's
# packages nor its lists are touched and no root is needed. It keeps the system's way to the network.
lab_apt() {
    mkdir -p "$1/etc" "$1/lists/partial" "$1/cache/archives/partial"
    : >"$1/status"
    cat >"$1/etc/lab.sources" <<END
Types: deb
URIs: $(debian_mirror)
Suites: $2
Components: main
Signed-By: $(debian_keys)
END
    cat >"$1/apt.conf" <<END
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$1/etc";
Dir::State::lists "$1/lists";
Dir::State::status "$1/status";
Dir::Cache "$1/cache";
APT::Sandbox::User "$(id -un)";
APT::Install-Recommends "0";
APT::Update::Error-Mode "any";
Debug::NoLocking "1";
END
    export APT_CONFIG="$1/apt.conf"
    apt-get update -qq >&2
}

# Mesa 26 with its null devices and the C library it wants, unpacked beside the system.
# Another Mesa: change the suites and delete the folder; the table's heading names the version used.
fetch_mesa() {
    mesa=$LAB/mesa26
    [ -f "$mesa/done" ] && return
    say "fetching Mesa (63 MB)"
    rm -rf "$mesa/root" "$mesa/icd"
    (
        lab_apt "$mesa" "trixie trixie-backports"
        apt-get -t trixie-backports -y -qq -d install mesa-vulkan-drivers mesa-drm-shim >/dev/null
    ) || die "Mesa could not be fetched."
    for deb in "$mesa"/cache/archives/*.deb; do dpkg -x "$deb" "$mesa/root"; done
    rm -f "$mesa"/cache/archives/*.deb
    mkdir -p "$mesa/icd" "$mesa/xdg"
    chmod 700 "$mesa/xdg"
    # The drivers' own descriptions name /usr or no folder at all.
    for json in "$mesa"/root/usr/share/vulkan/icd.d/*.json; do
        name=$(basename "$json" .json)
        name=${name%.x86_64}
        sed -E "s#(\"library_path\": *\")([^\"]*/)?([^\"/]+)\"#\1$mesa/root/usr/lib/x86_64-linux-gnu/\3\"#" \
            "$json" >"$mesa/icd/${name%_icd}.json"
    done
    # A file that is missing shows in the first table as failed lines.
    apt_version=$(APT_CONFIG=$mesa/apt.conf apt-cache -t trixie-backports policy mesa-vulkan-drivers)
    printf '%s\n' "$apt_version" | sed -n 's/^ *Candidate: //p' >"$mesa/done"
}

# Dawn, which holds Tint (and for Windows FXC): npm's `webgpu`.
fetch_dawn() {
    version=0.6.2
    grep -qs "\"version\": \"$version\"" "$LAB/npm/node_modules/webgpu/package.json" && return
    command -v npm >/dev/null || die "node (18 or later) and npm are needed (Debian: nodejs, npm)."
    say "fetching Tint (51 MB)"
    mkdir -p "$LAB/npm"
    [ -f "$LAB/npm/package.json" ] || echo '{"private": true}' >"$LAB/npm/package.json"
    npm install --prefix "$LAB/npm" --ignore-scripts --no-audit --no-fund --loglevel=error \
        "webgpu@$version" >&2
}

# Sets DXC to Microsoft's compiler. It has no package of its own; a Python package, of which nothing
# else is used, holds this build for Linux. The sum makes sure that it stays this build.
fetch_dxc() {
    DXC=$LAB/dxc-1.8/libdxcompiler.so
    export DXC
    [ -f "$DXC" ] && return
    say "fetching DXC (15 MB)"
    rm -rf "$LAB/dxc-1.8"
    mkdir -p "$LAB/dxc-1.8"
    python3 -m pip download -q --no-deps --only-binary :all: --python-version 3.11 --abi cp311 \
        --platform manylinux_2_28_x86_64 -d "$LAB/dxc-1.8" compushady-lrtu==0.18.0 >&2
    python3 - "$LAB/dxc-1.8" <<'END'
import hashlib, pathlib, sys, zipfile
folder = pathlib.Path(sys.argv[1])
(wheel,) = folder.glob("*.whl")
library = zipfile.ZipFile(wheel).read("compushady/backends/libdxcompiler_x86_64.so")
sum = "ade5a6edc143bee6a6c1e83adbcfb6e1eb9c48c50ef2eead9e763e5bcb689fac"
if hashlib.sha256(library).hexdigest() != sum:
    sys.exit("DXC is not the build that was expected")
(folder / "libdxcompiler.so").write_bytes(library)
wheel.unlink()
END
}
