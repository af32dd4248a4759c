#!/usr/bin/env bash
# Makes an archive and a Debian package of the built programs, so that nobody needs a compiler to try them:
#   package.sh [FOLDER]     package/sfumato-VERSION-linux-ARCH.tar.gz, package/sfumato_VERSION_ARCH.deb and their sums
# Both run on the distribution that they were built on, and on newer ones. The same programs make the same bytes.
. "$(dirname "$0")/env.sh"
. scripts/rust.sh
folder=${1:-package}
programs=(sfu-operator sfu-node sfu-web sfu-smoke)
version=$(sed -nE 's/^version = "(.*)"$/\1/p' Cargo.toml | head -1)
architecture=$(dpkg --print-architecture)
for program in "${programs[@]}"; do
  if [ ! -x "$bin/$program" ]; then fail "$bin/$program is not there: run \`make build\` first"; fi
done
# A date of their own would make the same programs other bytes.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022

say "programs without symbols, and the licences of what they are made of"
mkdir "$work/bin"
for program in "${programs[@]}"; do strip -o "$work/bin/$program" "$bin/$program"; done
# All of them, since the guides link to most of the others.
docs=(docs/*.md docs/*.yaml docs/decisions)
licences() {
  python3 scripts/licences.py sfu-operator
  python3 scripts/licences.py sfu-node
  python3 scripts/licences.py sfu-web
}
licences | gzip --no-name --best >"$work/THIRD-PARTY-LICENSES.gz"
# The newest version of glibc's symbols that any of them uses.
glibc=$(for program in "${programs[@]}"; do objdump -T "$work/bin/$program"; done | grep -oE 'GLIBC_[0-9]+(\.[0-9]+)+' | sort -Vu | tail -1)
glibc=${glibc#GLIBC_}

mkdir -p "$folder"
name=sfumato-$version-linux-$architecture
archive=$work/$name
mkdir -p "$archive/docs" "$archive/systemd"
cp "$work"/bin/* "$work/THIRD-PARTY-LICENSES.gz" LICENSE "$archive"
cp packaging/systemd/sfumato.service "$archive/systemd"
cp packaging/sfumato.env packaging/README.md "$archive"
cp -r "${docs[@]}" "$archive/docs"
tar --create --directory "$work" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" "$name" | gzip --no-name --best >"$folder/$name.tar.gz"

say "Debian package: needs glibc $glibc and later"
root_of=$work/deb
mkdir -p "$root_of/DEBIAN" "$root_of/usr/bin" "$root_of/usr/lib/systemd/system" "$root_of/usr/share/doc/sfumato" "$root_of/etc/sfumato"
cp "$work"/bin/* "$root_of/usr/bin"
cp packaging/systemd/sfumato.service "$root_of/usr/lib/systemd/system"
cp packaging/sfumato.env "$root_of/etc/sfumato"
cp -r "${docs[@]}" "$work/THIRD-PARTY-LICENSES.gz" "$root_of/usr/share/doc/sfumato"
cp LICENSE "$root_of/usr/share/doc/sfumato/copyright"
size=$(du --summarize --apparent-size --block-size=1024 "$root_of" | cut -f1)
sed -e "s/@VERSION@/$version/" -e "s/@ARCH@/$architecture/" -e "s/@SIZE@/$size/" -e "s/@GLIBC@/$glibc/" packaging/debian/control.in >"$root_of/DEBIAN/control"
cp packaging/debian/conffiles "$root_of/DEBIAN"
for script in postinst prerm postrm; do install -m 755 "packaging/debian/$script" "$root_of/DEBIAN/$script"; done
dpkg-deb --build --root-owner-group -Zxz "$root_of" "$folder/sfumato_${version}_$architecture.deb" >/dev/null
(cd "$folder" && sha256sum -- *.tar.gz *.deb >SHA256SUMS)
(cd "$folder" && ls -sh -- *.tar.gz *.deb)
