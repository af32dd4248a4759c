# shellcheck shell=bash
# Sourced after env.sh by what calls cargo: puts the toolchain that rust-toolchain.toml pins on the PATH, installing it where rustup can.
pinned=$(sed -nE 's/^channel *= *"(.*)"/\1/p' rust-toolchain.toml)
case :$PATH: in
  *:"${CARGO_HOME:-$HOME/.cargo}"/bin:*) ;;
  *) PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH ;;
esac
export PATH
get_rustup="install rustup from https://rustup.rs, then run this again"

# rustc's version under the pin, or nothing.
rust_version() { rustc --version 2>/dev/null | sed -nE 's/^rustc ([0-9.]+).*/\1/p'; }
at_least_pinned() { [ -n "$1" ] && [ "$(printf '%s\n' "$pinned" "$1" | sort -V | head -1)" = "$pinned" ]; }

# The name under which rustup has the pinned version, where it is not the version itself: "stable", or a linked toolchain.
other_name() {
  local name
  while read -r name _; do
    if [ "$(RUSTUP_TOOLCHAIN=$name rust_version)" = "$pinned" ]; then
      printf '%s' "$name"
      return
    fi
  done < <(rustup toolchain list 2>/dev/null)
}

ensure_rust() {
  local name
  at_least_pinned "$(rust_version)" && return
  if ! command -v rustup >/dev/null; then
    if LC_ALL=C apt-cache policy rustup 2>/dev/null | grep -q 'Candidate: [^(]'; then
      scripts/apt.sh rust
    elif command -v rustc >/dev/null; then
      fail "$(rustc --version) is older than $pinned, which Sfumato is built with: $get_rustup"
    else
      fail "Rust $pinned is not here: $get_rustup"
    fi
  fi
  name=$(other_name)
  if [ -n "$name" ]; then
    say "Rust $pinned is here under the name $name: using that (RUSTUP_TOOLCHAIN=$name)"
    export RUSTUP_TOOLCHAIN=$name
    return
  fi
  say "installing Rust $pinned by rustup"
  rustup toolchain install "$pinned" --profile minimal --component rustfmt --component clippy ||
    fail "rustup could not install Rust $pinned: its download host must be reachable once, or another toolchain of that version linked by \`rustup toolchain link\`"
  at_least_pinned "$(rust_version)" || fail "rustc does not run under the pin $pinned in rust-toolchain.toml: \`rustup show\` tells what overrides it"
}
ensure_rust
