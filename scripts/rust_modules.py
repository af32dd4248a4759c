"""Reads the crates of the workspace: their modules, and what each module names of the others.

A module here is a source file that a crate compiles outside tests: lib.rs, main.rs, and every file reached from them by
`mod name;`. What stands under `#[cfg(test)]` or `#[test]` is left out, and so are files that are reached only from there.

An arrow goes from a file to the file that defines what it names. Names count in `use` and in paths within code (`super::x::f()`).

- A re-export is followed: who names it has an arrow to the file that defines the item. So has the file that re-exports it.
- `use` of a module only gives a name to paths: where some begin with it, the arrows are those of these paths.
- `use x::*` is an arrow to x. `mod x;` is none.

Not seen: what the expansion of a macro names (the body of a `macro_rules!` is read as code of its own file), paths in strings
(`#[serde(with = "...")]`), and methods of a type that is not named. What a macro defines is known only by the words that it is
given (`name_type!(NodeName)`); what a derive defines, not at all: such a name belongs to the file that its path ends in.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple


class Unreadable(Exception):
    """A file that is missing, or that this reader does not understand."""


# Tokens.


class Token(NamedTuple):
    """A word, a number or a mark. What a literal of text says stands apart, so that nothing in it is taken for code."""

    text: str
    line: int
    literal: str = ""

    @property
    def is_word(self) -> bool:
        return self.text[0] == "_" or self.text[0].isalpha()


TOKEN = re.compile(
    r"""
    (?P<gap>     \s+ | //[^\n]*)
  | (?P<comment> /\*)
  | (?P<raw>     [bc]?r(?P<hashes>\#*)".*?"(?P=hashes))
  | (?P<string>  [bc]?"(?:\\.|[^"\\])*")
  | (?P<char>    b?'(?:\\(?:u\{[^}]*\}|.[^']*)|[^'\\])')
  | (?P<life>    '[^\W\d]\w*)
  | (?P<word>    (?:r\#)?[^\W\d]\w*)
  | (?P<number>  \d\w*(?:\.\d\w*)?)
  | (?P<mark>    ::|->|=>|\.\.|[^"'])
    """,
    re.VERBOSE | re.DOTALL,
)
COMMENT_EDGE = re.compile(r"/\*|\*/")
OPENING = {"(": ")", "[": "]", "{": "}"}


def tokens_of(text: str, name: str = "text") -> list[Token]:
    """The tokens of Rust code, without comments and lifetimes."""
    found: list[Token] = []
    line = 1
    at = 0
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            raise Unreadable(f"{name}:{line}: a literal that does not end")
        end = match.end()
        match match.lastgroup:
            case "comment":
                closed = end_of_comment(text, at)
                if closed is None:
                    raise Unreadable(f"{name}:{line}: a comment that does not end")
                end = closed
            case "word":
                found.append(Token(match.group().removeprefix("r#"), line))
            case "raw" | "string" | "char":
                found.append(Token('"', line, match.group()[1:-1]))
            case "number" | "mark":
                found.append(Token(match.group(), line))
        line += text.count("\n", at, end)
        at = end
    return found


def end_of_comment(text: str, at: int) -> int | None:
    """Where the comment that begins here ends: comments of this kind stand inside each other."""
    depth = 0
    for edge in COMMENT_EDGE.finditer(text, at):
        depth += 1 if edge.group() == "/*" else -1
        if depth == 0:
            return edge.end()
    return None


def pairs_of(tokens: list[Token], name: str) -> dict[int, int]:
    """The index of the closing bracket, by that of the opening one."""
    pairs: dict[int, int] = {}
    opened: list[int] = []
    for index, token in enumerate(tokens):
        if token.text in OPENING:
            opened.append(index)
        elif token.text in OPENING.values():
            if not opened or OPENING[tokens[opened[-1]].text] != token.text:
                raise Unreadable(f"{name}:{token.line}: `{token.text}` closes nothing")
            pairs[opened.pop()] = index
    if opened:
        raise Unreadable(f"{name}:{tokens[opened[-1]].line}: `{tokens[opened[-1]].text}` is never closed")
    return pairs


# What only tests compile.

# Items that end with a semicolon, even when braces come first.
ENDS_WITH_SEMICOLON = {"use", "const", "static", "type", "let"}
# Items that end with their body, or with a semicolon where they have none; and statements that do.
ENDS_WITH_BODY = {"fn", "mod", "impl", "trait", "struct", "enum", "union", "unsafe", "async", "extern", "macro_rules"}
ENDS_WITH_BODY |= {"{", "if", "match", "for", "while", "loop"}


def without_tests(tokens: list[Token], name: str) -> list[Token]:
    """The code that is compiled when no tests are."""
    pairs = pairs_of(tokens, name)
    index = 0
    while attribute_at(tokens, index, inner=True):
        if is_for_tests(tokens, index + 3, pairs[index + 2]):
            return []
        index = pairs[index + 2] + 1
    kept: list[Token] = []
    while index < len(tokens):
        end = index
        for_tests = False
        while attribute_at(tokens, end):
            for_tests = for_tests or is_for_tests(tokens, end + 2, pairs[end + 1])
            end = pairs[end + 1] + 1
        if for_tests:
            index = end_of_item(tokens, end, pairs)
            continue
        end = max(end, index + 1)
        kept.extend(tokens[index:end])
        index = end
    return kept


def attribute_at(tokens: list[Token], index: int, *, inner: bool = False) -> bool:
    marks = ["#", "!", "["] if inner else ["#", "["]
    return [token.text for token in tokens[index : index + len(marks)]] == marks


def is_for_tests(tokens: list[Token], start: int, end: int) -> bool:
    """Whether an attribute (what is inside its brackets) leaves its item to tests: `test`, `tokio::test`, `cfg(test)`."""
    if tokens[start].text == "cfg":
        return cfg_without_tests(tokens[start + 2 : end - 1]) is False
    last = start
    while last + 2 < end and tokens[last + 1].text == "::":
        last += 2
    return tokens[last].text == "test"


def cfg_without_tests(predicate: list[Token]) -> bool | None:
    """What a predicate of `cfg` is when no tests are compiled; None: that depends on something else."""
    match [token.text for token in predicate]:
        case ["test"]:
            return False
        case ["not", "(", *_]:
            inner = cfg_without_tests(predicate[2:-1])
            return None if inner is None else not inner
        case [("all" | "any") as kind, "(", *_]:
            values = [cfg_without_tests(part) for part in split_at_commas(predicate[2:-1])]
            decisive = kind == "any"
            if decisive in values:
                return decisive
            return None if None in values else not decisive
    return None


def split_at_commas(tokens: list[Token]) -> list[list[Token]]:
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token.text in OPENING) - (token.text in OPENING.values())
        if token.text == "," and depth == 0:
            parts.append([])
        else:
            parts[-1].append(token)
    return [part for part in parts if part]


def end_of_item(tokens: list[Token], start: int, pairs: dict[int, int]) -> int:
    """The index after the item, field, variant, arm or statement that begins here."""
    index = start
    if tokens[index].text == "pub":
        index = pairs[index + 1] + 1 if tokens[index + 1].text == "(" else index + 1
    keyword = tokens[index].text
    if keyword == "const" and tokens[index + 1].text in ENDS_WITH_BODY:
        keyword = "fn"
    for_body = keyword in ENDS_WITH_BODY
    for_semicolon = keyword in ENDS_WITH_SEMICOLON
    while index < len(tokens):
        text = tokens[index].text
        if text == ";" or (text == "," and not for_body and not for_semicolon):
            return index + 1
        if text in OPENING.values():
            return index
        if text in OPENING:
            before = tokens[index - 1].text
            index = pairs[index]
            after = tokens[index + 1].text if index + 1 < len(tokens) else ""
            # The body of an arm, or of a macro, which a comma or a semicolon may follow.
            is_last = before in ("=>", "!") and not for_semicolon and after not in (",", ";")
            if text == "{" and (for_body or is_last):
                return index + 1
        index += 1
    return index


# Modules.


class Use(NamedTuple):
    """One name that a `use` brings in; `name` is None for `*` and for `as _`."""

    path: tuple[str, ...]
    name: str | None
    line: int
    is_public: bool
    is_glob: bool = False


@dataclass(eq=False)
class Module:
    """A module of a crate: a file, or an inline `mod x { }` within one."""

    file: Path
    parent: "Module | None"
    children: "dict[str, Module]" = field(default_factory=dict)
    items: set[str] = field(default_factory=set)
    # The words that macros at the top of the module are given: some are names of what they define.
    made: set[str] = field(default_factory=set)
    uses: list[Use] = field(default_factory=list)
    # Those within functions: names for the code of this module only.
    local_uses: list[Use] = field(default_factory=list)
    # Paths of two and more segments within code, with the line of each.
    paths: list[tuple[tuple[str, ...], int]] = field(default_factory=list)

    @property
    def root(self) -> "Module":
        return self if self.parent is None else self.parent.root

    def all(self) -> "Iterator[Module]":
        yield self
        for child in self.children.values():
            yield from child.all()


class Source(NamedTuple):
    """The code of a file that is compiled without tests."""

    tokens: list[Token]
    pairs: dict[int, int]


def read_source(file: Path) -> Source:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Unreadable(f"{file}: {error}") from None
    tokens = without_tests(tokens_of(text, str(file)), str(file))
    return Source(tokens, pairs_of(tokens, str(file)))


def read_file(file: Path, parent: Module | None, folder: Path) -> Module:
    """The module in this file, with those that it declares; `folder` is where their files are."""
    source = read_source(file)
    module = Module(file, parent)
    read_module(module, source, range(len(source.tokens)), folder)
    return module


# What a name follows, at the top of a module.
NAMES_AN_ITEM = {"fn", "struct", "enum", "trait", "union", "type", "const", "static"}


def read_module(module: Module, source: Source, span: range, folder: Path) -> None:
    """Enters what stands in this part of a file, at the top of it and within bodies."""
    tokens, pairs = source
    # Up to here everything stands within brackets.
    body_end = span.start
    given_path: str | None = None
    index = span.start
    while index < span.stop:
        token = tokens[index]
        following = tokens[index + 1].text if index + 1 < span.stop else ""
        is_at_top = index >= body_end
        if attribute_at(tokens, index) and is_at_top:
            if [after.text for after in tokens[index + 2 : index + 4]] == ["path", "="]:
                given_path = tokens[index + 4].literal
        elif token.text == "use" and following not in ("<", ""):
            end = next((at for at in range(index, span.stop) if tokens[at].text == ";"), None)
            if end is None:
                raise Unreadable(f"{module.file}:{token.line}: a `use` that does not end")
            is_public = index > span.start and tokens[index - 1].text in ("pub", ")")
            (module.uses if is_at_top else module.local_uses).extend(uses_of(tokens, index + 1, end, is_public))
            index = end
        elif token.text == "mod" and is_at_top:
            end = index + 2
            if tokens[end].text == "{":
                child = Module(module.file, module)
                read_module(child, source, range(end + 1, pairs[end]), folder / following)
                end = pairs[end]
            else:
                child = declared_module(module, following, folder, given_path)
            module.children[following] = child
            given_path = None
            index = end
        elif token.text in NAMES_AN_ITEM and is_at_top:
            name = tokens[index + 2].text if following == "mut" else following
            module.items.add(name)
        elif token.text == "macro_rules" and is_at_top:
            module.items.add(tokens[index + 2].text)
        elif token.text == "!" and following in OPENING and index > span.start and tokens[index - 1].is_word and is_at_top:
            module.made.update(word.text for word in tokens[index + 1 : pairs[index + 1]] if word.is_word)
        elif token.is_word and following == "::" and not continues_a_path(tokens, index):
            segments = [token.text]
            end = index
            while tokens[end + 1].text == "::" and tokens[end + 2].is_word:
                end += 2
                segments.append(tokens[end].text)
            if len(segments) > 1:
                module.paths.append((tuple(segments), token.line))
            index = end
        if token.text in OPENING and is_at_top:
            body_end = pairs[index]
        index += 1


def continues_a_path(tokens: list[Token], index: int) -> bool:
    """Whether a word is no beginning of a path: a method, what follows a type's `>::`, the place in `pub(in place)`."""
    before = [token.text for token in tokens[max(index - 2, 0) : index]]
    return before[-1:] in (["."], ["::"]) or before == ["(", "in"]


def declared_module(parent: Module, name: str, folder: Path, given_path: str | None) -> Module:
    """The module of `mod name;`, which stands in a file of its own."""
    if given_path is not None:
        file = (parent.file.parent / given_path).resolve()
        return read_file(file, parent, file.parent)
    candidates = [folder / f"{name}.rs", folder / name / "mod.rs"]
    for file in candidates:
        if file.is_file():
            return read_file(file, parent, folder / name)
    raise Unreadable(f"{parent.file}: `mod {name};` has no file: looked for {' and '.join(map(str, candidates))}")


def uses_of(tokens: list[Token], start: int, end: int, is_public: bool) -> Iterator[Use]:
    """The names that one `use` brings in; `start` is after the keyword and `end` at the semicolon."""
    yield from branch(tokens[start:end], (), is_public)


def branch(tree: list[Token], prefix: tuple[str, ...], is_public: bool) -> Iterator[Use]:
    # An empty first segment, which no module here has: `use ::name` means another package.
    path = ("",) if not prefix and tree[0].text == "::" else prefix
    index = 0
    while index < len(tree):
        token = tree[index]
        if token.text == "{":
            for part in split_at_commas(tree[index + 1 : -1]):
                yield from branch(part, path, is_public)
            return
        if token.text == "*":
            yield Use(path, None, token.line, is_public, is_glob=True)
            return
        if token.text == "as":
            break
        if token.text != "::" and not (token.text == "self" and path):
            path = (*path, token.text)
        index += 1
    name = tree[-1].text if index < len(tree) else path[-1]
    yield Use(path, None if name == "_" else name, tree[0].line, is_public)


# Names.


class Item(NamedTuple):
    """Something that this module defines and that is no module."""

    module: Module


class Elsewhere(Enum):
    """What a name means that is of no module here."""

    OUTSIDE = "something of another package"
    ITSELF = "the name whose meaning is asked for: this way leads round"


Found = Module | Item | Elsewhere
OUTSIDE = Elsewhere.OUTSIDE
ITSELF = Elsewhere.ITSELF
Asked = frozenset[tuple[Module, str, bool]]


class Names:
    """Resolves paths within one package, whose library (if it has one) its programs name by `library`."""

    def __init__(self, library: str, library_root: Module | None) -> None:
        self.library = library
        self.library_root = library_root

    def resolve(
        self, module: Module, path: tuple[str, ...], *, as_prefix: bool = False, local: bool = False, asked: Asked = frozenset()
    ) -> Found:
        """What a path in the code of a module means.

        `as_prefix`: more follows, so a module is preferred to a function of its name. `local`: names within functions count.
        """
        here: Module | None = None
        rest = list(path)
        while rest and rest[0] in ("crate", "self", "super"):
            match rest.pop(0):
                case "crate":
                    here = module.root
                case "self":
                    here = here or module
                case "super":
                    here = (here or module).parent
                    if here is None:
                        return OUTSIDE
        if here is None:
            first = rest.pop(0)
            found = self.find(module, first, as_prefix=as_prefix or bool(rest), local=local, asked=asked)
            if found in (None, ITSELF) and first == self.library and self.library_root not in (None, module.root):
                found = self.library_root
            if not isinstance(found, Module):
                return found if isinstance(found, Item) else OUTSIDE
            here = found
        while rest:
            name = rest.pop(0)
            found = self.find(here, name, as_prefix=as_prefix or bool(rest), asked=asked)
            if not isinstance(found, Module):
                return found or Item(self.maker(here, name) or here)
            here = found
        return here

    def find(self, module: Module, name: str, *, as_prefix: bool, local: bool = False, asked: Asked) -> Found | None:
        """What a name means in a module; None: nothing here gives it, so that a macro must."""
        if as_prefix and name in module.children:
            # Nothing else may have its name. Without this, each of ten `pub use part::*` would be asked for each of the others.
            return module.children[name]
        if (module, name, as_prefix) in asked:
            return ITSELF
        asked |= {(module, name, as_prefix)}
        meanings = (
            found for found in self.meanings(module, name, as_prefix=as_prefix, local=local, asked=asked) if found is not ITSELF
        )
        if as_prefix:
            every = list(meanings)
            return next((meaning for meaning in every if isinstance(meaning, Module)), every[0] if every else None)
        return next(meanings, None)

    def meanings(self, module: Module, name: str, *, as_prefix: bool, local: bool, asked: Asked) -> Iterator[Found]:
        uses = module.uses + module.local_uses if local else module.uses
        if name in module.items:
            yield Item(module)
        for use in uses:
            if use.name == name:
                yield self.resolve(module, use.path, as_prefix=as_prefix, local=local, asked=asked)
        if name in module.children:
            yield module.children[name]
        for use in uses:
            if use.is_glob:
                target = self.resolve(module, use.path, as_prefix=True, local=local, asked=asked)
                if isinstance(target, Module):
                    found = self.find(target, name, as_prefix=as_prefix, asked=asked)
                    if found is not None:
                        yield found

    def maker(self, module: Module, name: str, seen: frozenset[Module] = frozenset()) -> Module | None:
        """The module in which a macro is given this name: this one, or one that it brings in by `*`."""
        if name in module.made:
            return module
        seen |= {module}
        for use in module.uses:
            target = self.resolve(module, use.path, as_prefix=True) if use.is_glob else None
            if isinstance(target, Module) and target not in seen:
                found = self.maker(target, name, seen)
                if found is not None:
                    return found
        return None


# Arrows.


class Arrow(NamedTuple):
    """One place where a file names something of another file."""

    source: Path
    line: int
    target: Path
    path: str


@dataclass
class Package:
    """What is read of a package: its files and their arrows, each in the order of their names."""

    name: str
    files: list[Path]
    arrows: list[Arrow]


def arrows_of(module: Module, names: Names) -> Iterator[Arrow]:
    """The arrows that begin in this module (and not in those below it)."""
    begins = {path[0] for path, _ in module.paths}
    for use in module.uses + module.local_uses:
        found = names.resolve(module, use.path, as_prefix=use.is_glob, local=True)
        if isinstance(found, Module) and not use.is_glob and not use.is_public and use.name in begins:
            continue
        yield from arrow(module, use.line, found, (*use.path, "*") if use.is_glob else use.path)
    for path, line in module.paths:
        yield from arrow(module, line, names.resolve(module, path, local=True), path)


def arrow(module: Module, line: int, found: Found, path: tuple[str, ...]) -> Iterator[Arrow]:
    target = found.module if isinstance(found, Item) else found
    if isinstance(target, Module) and target.file != module.file:
        yield Arrow(module.file, line, target.file, "::".join(path))


def read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Unreadable(f"{file}: {error}") from None


def manifests_of(root: Path) -> dict[Path, dict[str, Any]]:
    """The Cargo.toml of each member of the workspace, by its folder."""
    workspace = read_toml(root / "Cargo.toml").get("workspace", {})
    folders = sorted({folder for member in workspace.get("members", []) for folder in root.glob(member)})
    if not folders:
        raise Unreadable(f"{root / 'Cargo.toml'}: names no members of a workspace")
    return {folder: read_toml(folder / "Cargo.toml") for folder in folders}


def read_package(folder: Path, manifest: dict[str, Any]) -> Package:
    """Reads the library and the programs of a package; both may have modules in the same folder."""
    name: str = manifest["package"]["name"]
    library = manifest.get("lib", {})
    library_file = folder / library.get("path", "src/lib.rs")
    library_root = read_file(library_file, None, library_file.parent) if library_file.is_file() else None
    programs = {folder / "src/main.rs", *folder.glob("src/bin/*.rs"), *folder.glob("src/bin/*/main.rs")}
    programs |= {folder / program["path"] for program in manifest.get("bin", []) if "path" in program}
    roots = [read_file(file, None, file.parent) for file in sorted(programs) if file.is_file()]
    if library_root is not None:
        roots.insert(0, library_root)
    if not roots:
        raise Unreadable(f"{folder}: has neither src/lib.rs nor src/main.rs")
    names = Names(library.get("name", name.replace("-", "_")), library_root)
    modules = [module for root in roots for module in root.all()]
    arrows = {found for module in modules for found in arrows_of(module, names)}
    return Package(name, sorted({module.file for module in modules}), sorted(arrows))


def read_workspace(root: Path) -> list[Package]:
    return [read_package(folder, manifest) for folder, manifest in manifests_of(root).items()]
