#!/usr/bin/env bash
# Runs the tests of kernel TLS under a kernel that has it: Debian's, in an emulated machine.
# Needs qemu-system-x86_64, cpio, xz and apt-get, which downloads the kernel and busybox.
# KERNEL names another package of a kernel, BYTES is how much the bulk test sends.
set -euo pipefail
cd "$(dirname "$0")/.."
for program in qemu-system-x86_64 cpio xz apt-get; do
	command -v $program >/dev/null || { echo "ktls-qemu: $program is missing" >&2; exit 1; }
done
work=$(realpath "${WORK:-out}")/ktls
root=$work/root
mkdir -p "$work"
rm -rf "$root"
mkdir -p "$root"/{bin,proc,dev,sys,tmp,lib/modules}

CGO_ENABLED=0 GOARCH=amd64 go test -c -o "$root/tlsio.test" ./tlsio

kernel=${KERNEL:-$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: //p' | head -n 1)}
if [ ! -e "$work/$kernel.done" ]; then
	rm -rf "$work/packages" "$work/unpacked"
	mkdir -p "$work/packages" "$work/unpacked"
	# Newer kernels are in several packages.
	mapfile -t parts < <(apt-cache depends "$kernel" | sed -nE 's/.*Depends: <?(linux-(binary|modules)-[^<>]*)>?$/\1/p')
	(cd "$work/packages" && apt-get download "$kernel" "${parts[@]}" busybox-static)
	for package in "$work"/packages/*.deb; do dpkg-deb -x "$package" "$work/unpacked"; done
	rm -f "$work"/*.done
	touch "$work/$kernel.done"
fi
unpacked=$work/unpacked
cp "$(find "$unpacked" -path '*bin/busybox' -type f | head -n 1)" "$root/bin/busybox"

# In this order each module finds what it needs; those that a kernel has built in are missing.
for module in gf128mul cryptd crypto_simd ghash-generic ctr gcm libpoly1305 poly1305_generic libchacha \
	libchacha20poly1305 chacha chacha_generic chacha20poly1305 tls; do
	file=$(find "$unpacked" -name "$module.ko*" | head -n 1)
	case $file in
	'') continue ;;
	*.xz) xz -dc "$file" >"$root/lib/modules/$module.ko" ;;
	*) cp "$file" "$root/lib/modules/$module.ko" ;;
	esac
	echo "insmod /lib/modules/$module.ko 2>/dev/null || echo 'no $module'" >>"$root/modules.sh"
done

cat >"$root/init" <<INIT
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp
ip link set lo up
. /modules.sh
uname -a
cd /tmp
HOLDFAST_REQUIRE_KTLS=1 /tlsio.test -test.run '${RUN:-Kernel}' -test.timeout 30m -test.v -tls.bytes ${BYTES:-268435456} &&
	echo ktls-qemu: passed
poweroff -f
INIT
chmod +x "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$work/initramfs.gz"

timeout "${LIMIT:-45m}" qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 1024 -display none -serial stdio \
	-monitor none -no-reboot -kernel "$(find "$unpacked" -type f -name 'vmlinuz*' | head -n 1)" -initrd "$work/initramfs.gz" \
	-append "console=ttyS0 quiet panic=-1 edd=off" </dev/null | tee "$work/console.log"
grep -q '^ktls-qemu: passed' "$work/console.log"
