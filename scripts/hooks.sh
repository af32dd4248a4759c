#!/usr/bin/env bash
# Has git run scripts/hooks/pre-commit before each commit, in this clone and all its worktrees.
#   hooks.sh          turns it on; `git config --unset core.hooksPath` turns it off
. "$(dirname "$0")/env.sh"
now=$(git config --get core.hooksPath || true)
if [ -n "$now" ] && [ "$now" != scripts/hooks ]; then
  fail "core.hooksPath is \"$now\" already; to have its hooks replaced: git config --unset core.hooksPath && make hooks"
fi
if compgen -G "$(git rev-parse --git-common-dir)/hooks/*" | grep -v '\.sample$' >&2; then
  fail "these hooks would no longer run, since git looks for hooks in one folder: move them away first"
fi
# Relative: git looks for it in the worktree that commits. One whose commit has no such folder runs no hook.
git config core.hooksPath scripts/hooks
say "scripts/hooks/pre-commit now runs before each commit, in this clone and its worktrees: the fast checks (make check-fast) of what is not committed"
say "  without it once: git commit --no-verify"
say "  turned off:      git config --unset core.hooksPath"
