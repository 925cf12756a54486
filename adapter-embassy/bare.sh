#!/usr/bin/env bash
# What runs without an operating system: ports, image, sizes, and the swarm of hosts and boards.
#
#   adapter-embassy/bare.sh                 all of it
#   adapter-embassy/bare.sh ports           the library for other processors, some without compare-and-swap
#   adapter-embassy/bare.sh image           the firmware; its path is the last line
#   adapter-embassy/bare.sh sizes           what the core and the image take
#   adapter-embassy/bare.sh instructions    of each door for an idle datagram, fenced; `instructions --write` moves the fence
#   adapter-embassy/bare.sh mixed           two hosts and two boards under QEMU; then sixteen boards on one segment
#
# Uses rustup's targets where they are installed, and else Debian's compiler, which brings the source of core:
# rustc-web cargo-web rust-web-src binutils-arm-none-eabi. `mixed` and `instructions` need qemu-system-arm.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

OUT="${CARGO_TARGET_DIR:-$PWD/target}"
IMAGE_TARGET=thumbv7m-none-eabi
PORTS=(thumbv6m-none-eabi thumbv7em-none-eabi riscv32imc-unknown-none-elf)

# Runs cargo for a bare target: bare TARGET ARGUMENTS…
bare() {
    local target=$1
    shift
    if rustup target list --installed 2>/dev/null | grep -qx "$target"; then
        CARGO_TARGET_DIR="$OUT/bare" cargo "$@" --release --target "$target"
        return
    fi
    local linker=CARGO_TARGET_${target^^}_LINKER
    env RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$OUT/bare" "${linker//-/_}=arm-none-eabi-ld" \
        /usr/bin/cargo "$@" --release --target "$target" -Z build-std=core
}

ports() {
    local target
    for target in "${PORTS[@]}"; do
        echo "+ gossip-embassy for $target"
        bare "$target" build --locked -p gossip-embassy --lib
    done
    bare "${PORTS[0]}" build --locked -p gossip-embassy --lib --features defmt
}

image() {
    bare "$IMAGE_TARGET" build --locked --manifest-path adapter-embassy/firmware/Cargo.toml "$@"
    echo "$OUT/bare/$IMAGE_TARGET/release/gossip-firmware"
}

# Prints a table; the figures that the firmware prints at its end come with `mixed`.
sizes() {
    local core="$OUT/bare/thumbv6m-none-eabi/release/thumb" firmware="$OUT/bare/$IMAGE_TARGET/release/gossip-firmware"
    [[ -d .ci/thumb ]] && bare thumbv6m-none-eabi build --locked --manifest-path .ci/thumb/Cargo.toml
    image >/dev/null
    echo
    if [[ -e $core ]]; then
        echo "the core alone, thumbv6m (flash, .data, .bss):"
        arm-none-eabi-size "$core" | awk 'NR == 2 { print "  ", $1, $2, $3 }'
        arm-none-eabi-nm --print-size --radix=d "$core" |
            awk '/ (MEMORY|NODE)$/ { printf "   %s %d bytes in %s\n", $4, $2, $3; sum += $2 } END { printf "   both %d; the goal is 12288\n", sum }'
        echo "frames of more than 256 bytes:"
        frames "$core"
    fi
    echo "the firmware, $IMAGE_TARGET (flash, .data, .bss; the goals are 147456 and 32768 together):"
    arm-none-eabi-size "$firmware" | awk 'NR == 2 { print "  ", $1 + $2, $2, $3 }'
    frames "$firmware"
}

# Functions with the largest frames, as far as one instruction makes them.
frames() {
    arm-none-eabi-objdump --disassemble --demangle "$1" | awk '
        /^[0-9a-f]+ </ { sub(/^[0-9a-f]+ /, ""); name = $0 }
        /sub(w|\.w)?\tsp,/ && match($0, /#[0-9]+/) { n = substr($0, RSTART + 1, RLENGTH - 1) + 0; if (n > 256) print "  ", n, name }
    ' | sort -rn -k1 | head -12 | cut -c1-120
}

# Counts are the same in every run of one image; another compiler or a change of the core may move them by 5 %.
instructions() {
    local fence=adapter-embassy/firmware/instructions.txt counted
    image >/dev/null
    counted=$(timeout 120 qemu-system-arm -machine mps2-an385 -display none -monitor none -serial none -nic none \
        -icount shift=4,sleep=off -semihosting-config enable=on,target=native \
        -kernel "$OUT/bare/$IMAGE_TARGET/release/instructions" 2>&1 </dev/null | grep ^instructions)
    echo "$counted"
    if [[ ${1:-} == --write ]]; then
        echo "$counted" >"$fence"
    else
        paste -d" " "$fence" <(echo "$counted") | awk '
            $2 != $9 || $10 > $3 * 1.05 || $10 < $3 * 0.95 { print "out of the fence:", $2, "was", $3, "is", $10; bad = 1 }
            END { exit bad || NR == 0 }'
    fi
}

mixed() {
    local path
    path=$(image | tail -1)
    GOSSIP_FIRMWARE="$path" cargo test --locked -p gossip-embassy --test mixed -- --ignored --nocapture --test-threads=1
}

if (($#)); then
    "$@"
else
    ports
    sizes
    instructions
    mixed
fi
