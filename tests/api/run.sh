#!/bin/sh
# Compares the public API with the lists beside this file: with every feature, and with those that are on by default.
#
#   sh tests/api/run.sh             # says what is not as listed
#   UPDATE=1 sh tests/api/run.sh    # writes the lists anew
#
# It reads what rustdoc describes as JSON, whose form goes with the version of Rust; `public-api` in tests/Cargo.toml
# has to be one that reads it.
set -eu
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Nothing else is compiled anew: rustdoc alone reads JSON's option, and leaves out the features that have to be asked for.
cat >"$work/rustdoc" <<'EOF'
#!/bin/sh
less=
for argument; do [ "$argument" != by_default ] || less=yes; done
for argument; do
    shift
    case $less$argument in
    'yesfeature="gpu"' | 'yesfeature="wgpu-default"' | 'yesfeature="default"') ;;
    yesfeature=*) argument=left_out ;;
    esac
    set -- "$@" "$argument"
done
RUSTC_BOOTSTRAP=1 exec rustdoc "$@"
EOF
chmod +x "$work/rustdoc"

# Beside the documentation, with the dependencies it was made with.
for features in with_all by_default; do
    RUSTDOC=$work/rustdoc cargo rustdoc --quiet -p channelwise --lib --all-features -- \
        -Z unstable-options --output-format json --cfg $features
    cp "${CARGO_TARGET_DIR:-target}/doc/channelwise.json" "$work/$features.json"
done
for features in with_all by_default; do
    cargo test --release --test api -- "$work/$features.json" "$PWD/tests/api/$features.txt"
done
