#!/usr/bin/env bash
# What runs without an operating system: ports, image, sizes, and the swarm of hosts and boards.
#
#   adapter-embassy/bare.sh                 all of it
#   adapter-embassy/bare.sh ports           the library for other processors, some without compare-and-swap
#   adapter-embassy/bare.sh image           the firmware; its path is the last line
#   adapter-embassy/bare.sh sizes           what the core and the image take, fenced
#   adapter-embassy/bare.sh stack           what each door of the core takes of the stack, by its code, fenced
#   adapter-embassy/bare.sh instructions    of each door for an idle datagram, fenced; `instructions --write` moves the fence
#   adapter-embassy/bare.sh log             what defmt-print makes of the log of a board that runs for a second
#   adapter-embassy/bare.sh mixed           three hosts and two boards under QEMU; then sixteen boards on one segment
#
# Uses rustup's targets where they are installed, and else Debian's compiler, which brings the source of core:
# rustc-web cargo-web rust-web-src binutils-arm-none-eabi. `mixed`, `log` and `instructions` need qemu-system-arm,
# `log` defmt-print, and `stack` python3, llvm-objdump and rustup's lld.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

OUT="${CARGO_TARGET_DIR:-$PWD/target}"
IMAGE_TARGET=thumbv7m-none-eabi
PORTS=(thumbv6m-none-eabi thumbv7em-none-eabi riscv32imc-unknown-none-elf)

# Bytes: what is taken, and a little. The goals: 65536 and 12288 for the core, 147456 and 32768 for the image.
CORE_FLASH_MAX=65536
CORE_RAM_MAX=12288
IMAGE_FLASH_MAX=147456
IMAGE_RAM_MAX=32768
# Of the deepest door, by its code for each of the ports, and seen while two nodes run.
STACK_MAX=2048
# The image with all parts that may be left out.
FULL_FLASH_MAX=262144
FULL_RAM_MAX=65536

# Runs cargo for a bare target: bare TARGET ARGUMENTS…
bare() {
    local target=$1
    shift
    if rustup target list --installed 2>/dev/null | grep -qx "$target"; then
        CARGO_TARGET_DIR="$OUT/bare" cargo "$@" --release --target "$target"
        return
    fi
    local variable=CARGO_TARGET_${target^^}_LINKER linker=arm-none-eabi-ld
    [[ $target == thumb* ]] || linker=$(echo "$(rustc --print sysroot)"/lib/rustlib/*/bin/rust-lld)
    env RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$OUT/bare" "${variable//-/_}=$linker" \
        /usr/bin/cargo "$@" --release --target "$target" -Z build-std=core
}

# Warnings count, and have a folder of their own, since other flags build all anew.
ports() {
    local target
    for target in "${PORTS[@]}"; do
        echo "+ gossip-embassy for $target"
        OUT="$OUT/ports" RUSTFLAGS="-D warnings" bare "$target" check --locked -p gossip-embassy --lib --features defmt,full
    done
    OUT="$OUT/ports" RUSTFLAGS="-D warnings" bare "${PORTS[0]}" check --locked -p gossip-embassy --lib
}

# Panics tell where they are: short paths, which are the same wherever it is built.
image() {
    local crates short="--remap-path-prefix=$PWD=."
    for crates in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do
        short+=" --remap-path-prefix=$crates=crates"
    done
    RUSTFLAGS="$short" bare "$IMAGE_TARGET" build --locked --manifest-path adapter-embassy/firmware/Cargo.toml "$@"
    echo "$OUT/bare/$IMAGE_TARGET/release/gossip-firmware"
}

# Prints tables, and fails beyond a fence; the figures that the firmware prints at its end come with `mixed`.
sizes() {
    local core="$OUT/bare/thumbv6m-none-eabi/release/thumb" firmware="$OUT/bare/$IMAGE_TARGET/release/gossip-firmware"
    local part full
    echo "the core with parts that may be left out, thumbv6m:"
    for part in large catchup messages kinds interest relay sleep receipts siblings skew sample full; do
        bare thumbv6m-none-eabi build --quiet --locked --manifest-path .ci/thumb/Cargo.toml --features "$part"
        printf '   %-8s flash %d bytes, MEMORY and NODE %d\n' "$part" "$(flash "$core")" "$(ram "$core")"
    done
    bare thumbv6m-none-eabi build --locked --manifest-path .ci/thumb/Cargo.toml
    image --features full >/dev/null
    full=$(arm-none-eabi-size "$firmware" | awk 'NR == 2 { print $2 + $3 }')
    echo "the firmware with all of them, $IMAGE_TARGET:"
    fence flash "$(flash "$firmware")" "$FULL_FLASH_MAX" "$FULL_FLASH_MAX"
    fence ".data and .bss" "$full" "$FULL_RAM_MAX" "$FULL_RAM_MAX"
    image >/dev/null
    echo "the core alone, thumbv6m:"
    fence flash "$(flash "$core")" "$CORE_FLASH_MAX" 65536
    arm-none-eabi-nm --print-size --radix=d "$core" | awk '/ (MEMORY|NODE)$/ { printf "   %s %d in %s\n", $4, $2, $3 }'
    fence "MEMORY and NODE" "$(ram "$core")" "$CORE_RAM_MAX" 12288
    stack
    echo "the firmware, $IMAGE_TARGET:"
    fence flash "$(flash "$firmware")" "$IMAGE_FLASH_MAX" 147456
    fence ".data and .bss" "$(arm-none-eabi-size "$firmware" | awk 'NR == 2 { print $2 + $3 }')" "$IMAGE_RAM_MAX" "$IMAGE_RAM_MAX"
    echo "   frames of more than 256 bytes:"
    frames "$firmware"
}

# Prints what the doors take and the deepest chain of calls; fails beyond the fence, which is for the core alone.
stack() {
    local target thumb=(--quiet --locked --manifest-path .ci/thumb/Cargo.toml)
    for target in "${PORTS[@]}"; do
        bare "$target" build "${thumb[@]}" --features full
        echo "the stack of the core's doors with all parts that may be left out, $target:"
        python3 adapter-embassy/stack.py "$OUT/bare/$target/release/thumb" | sed -n 1p
    done
    for target in "${PORTS[@]}"; do
        bare "$target" build "${thumb[@]}"
        echo "the stack of the core's doors, $target; fence and goal $STACK_MAX:"
        python3 adapter-embassy/stack.py "$OUT/bare/$target/release/thumb" "$STACK_MAX"
    done
}

# What lies in flash: code, constants, and what .data starts with.
flash() {
    arm-none-eabi-size "$1" | awk 'NR == 2 { print $1 + $2 }'
}

# What a node takes.
ram() {
    arm-none-eabi-nm --print-size --radix=d "$1" | awk '/ (MEMORY|NODE)$/ { sum += $2 } END { print sum }'
}

# fence NAME BYTES FENCE GOAL
fence() {
    local missed=""
    (($2 <= $4)) || missed=", missed by $(($2 - $4))"
    printf '   %s: %d bytes; fence %d, goal %d%s\n' "$@" "$missed"
    (($2 <= $3)) || { echo "$1 is beyond its fence" >&2; exit 1; }
}

# Functions with the largest frames, as far as one instruction makes them.
frames() {
    arm-none-eabi-objdump --disassemble --demangle "$1" | awk '
        /^[0-9a-f]+ </ { sub(/^[0-9a-f]+ /, ""); name = $0 }
        /sub(w|\.w)?\tsp,/ && match($0, /#[0-9]+/) { n = substr($0, RSTART + 1, RLENGTH - 1) + 0; if (n > 256) print "  ", n, name }
    ' | sort -rn -k1 | head -12 | cut -c1-120
}

# Counts are the same in every run of one image; another compiler or a change of the core may move them by 5 %. The image
# tells, too, how deep a door went while it ran.
instructions() {
    local fence=adapter-embassy/firmware/instructions.txt told counted
    image >/dev/null
    told=$(timeout 120 qemu-system-arm -machine mps2-an385 -display none -monitor none -serial none -nic none \
        -icount shift=4,sleep=off -semihosting-config enable=on,target=native \
        -kernel "$OUT/bare/$IMAGE_TARGET/release/instructions" 2>&1 </dev/null)
    echo "$told"
    awk -v max="$STACK_MAX" '$1 == "stack" { seen = $2 } END { exit !(seen > 0 && seen <= max) }' <<<"$told" ||
        { echo "a door takes more stack than $STACK_MAX bytes" >&2; exit 1; }
    counted=$(grep ^instructions <<<"$told")
    if [[ ${1:-} == --write ]]; then
        echo "$counted" >"$fence"
    else
        paste -d" " "$fence" <(echo "$counted") | awk '
            $2 != $9 || $10 > $3 * 1.05 || $10 < $3 * 0.95 { print "out of the fence:", $2, "was", $3, "is", $10; bad = 1 }
            END { exit bad || NR == 0 }'
    fi
}

# A board alone, whose log must decode. The image with a log is not the one that the others measure.
log() {
    local frames
    DEFMT_LOG=info image --features defmt >/dev/null
    frames=$(timeout 60 qemu-system-arm -machine mps2-an385 -display none -monitor none -serial none \
        -nic user,model=lan9118 -kernel "$OUT/bare/$IMAGE_TARGET/release/gossip-firmware" \
        -semihosting-config enable=on,target=native,arg=gossip,arg=id=3,arg=contact=127.0.0.1:9,arg=seconds=1 2>/dev/null </dev/null |
        defmt-print -e "$OUT/bare/$IMAGE_TARGET/release/gossip-firmware")
    echo "$frames"
    grep -q "Left" <<<"$frames" || { echo "the log does not tell that it left" >&2; exit 1; }
    grep -qi "malformed" <<<"$frames" && exit 1
    return 0
}

# The programs on the host are those that `cargo test --workspace` builds.
mixed() {
    local path test=(cargo test --locked --workspace)
    path=$(image | tail -1)
    "${test[@]}" --no-run
    GOSSIP_FIRMWARE="$path" GOSSIP_AGENT="$OUT/debug/gossip" GOSSIP_SMOL="$OUT/debug/examples/join-smol" \
        "${test[@]}" --test mixed -- --ignored --nocapture --test-threads=1 "$@"
}

if (($#)); then
    "$@"
else
    ports
    sizes
    instructions
    mixed
    log
fi
