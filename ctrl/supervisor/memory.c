/*
 * memory.c: see memory.h.
 */
#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backing.h"
#include "hugepages.h"
#include "io/umem.h"

#define MB(b) ((b) >> 20)
#define ETHERNET_B 22    /* header and two tags, less the checksum that is cut off */
#define XDP_HEADROOM_B 256

struct needs {
	size_t region_b, packets_b;
};

uint32_t sn_memory_frame_b(const struct sn_config *c, const struct sn_links *links)
{
	for (uint32_t i = 0; i < c->interface_count; i++) {
		const struct sn_link *l = sn_links_find(links, c->interfaces[i].name);

		if (l && l->mtu_b + ETHERNET_B + XDP_HEADROOM_B > 2048)
			return 4096;
	}
	return 2048;
}

static size_t round_page(size_t size_b)
{
	return (size_t)sn_hugepages_for(size_b) * SN_HUGEPAGE_B;
}

static struct needs needs_of(const struct sn_config *c, uint32_t frame_b)
{
	struct sn_geometry geo;

	sn_config_geometry(c, &geo);
	return (struct needs){ .region_b = round_page(sn_region_footprint(&geo)),
			       .packets_b = c->workers * round_page(sn_umem_footprint(c->frames, frame_b)) };
}

static int check_available(const struct sn_config *c, const struct needs *n, struct sn_error *err)
{
	size_t need = n->region_b + n->packets_b, have = sn_memory_available_b() + sn_hugepages_free_b();

	if (!n->region_b)
		return sn_error_set(err, -EINVAL,
				    "%s: no region can have these sizes; use fewer flows, subscribers or addresses",
				    c->doc.file);
	if (need <= have)
		return 0;
	return sn_error_set(
		err, -ENOMEM,
		"%s: not enough memory: the region needs %zu MB (flows: %u, subscribers: %u) and packets %zu MB "
		"(workers: %u, frames: %u), %zu MB are available; use fewer flows, subscribers or frames",
		c->doc.file, MB(n->region_b), c->flows, c->subscribers, MB(n->packets_b), c->workers, c->frames,
		MB(have));
}

static int make_file(const struct sn_paths *p, size_t size_b, struct sn_memory *m)
{
	int fd = open(p->region, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600), err = -ENOMEM;

	if (fd < 0)
		return -errno;
	/* root alone: the others get descriptors from us, the API a read-only one */
	if (ftruncate(fd, (off_t)size_b) != 0 || fallocate(fd, 0, 0, (off_t)size_b) != 0) {
		err = -errno;
		goto fail_file;
	}
	m->mem = sn_backing_map(fd, size_b, true);
	if (!m->mem) {
		err = -errno;
		goto fail_file;
	}
	m->fd = fd;
	m->size_b = size_b;
	return 0;
fail_file:
	close(fd);
	return err;
}

static int make_backing(const struct sn_paths *p, enum sn_backing kind, size_t size_b, struct sn_memory *m,
			struct sn_error *err)
{
	int e = sn_mounts_memory(p, kind, size_b, err);

	if (e)
		return e;
	e = make_file(p, size_b, m);
	if (e) {
		sn_mounts_remove_memory(p);
		return sn_error_set(err, e, "%s of %zu MB cannot be made: %s", p->region, MB(size_b), strerror(-e));
	}
	return 0;
}

static int make_huge(const struct sn_paths *p, const struct needs *n, struct sn_memory *m, uint32_t *ret_added,
		     struct sn_error *why)
{
	int e = sn_hugepages_reserve(sn_hugepages_for(n->region_b + n->packets_b), ret_added, why);

	if (e)
		return e;
	e = make_backing(p, SN_BACKING_HUGETLB, n->region_b, m, why);
	if (e) {
		sn_hugepages_return(*ret_added);
		*ret_added = 0;
	}
	return e;
}

static void say_fallback(const struct sn_config *c, const struct sn_error *why, struct sn_error *notice)
{
	static const char cost[] =
		"the region is in a tmpfs (huge=always), and where the kernel gives it small pages a look-up in a "
		"large flow table costs about 91 ns instead of 26";

	if (c->hugepages == SN_NEVER)
		sn_error_set(notice, 0, "no huge pages, as configured: %s", cost);
	else
		sn_error_set(notice, 0, "no huge pages: %.600s; %s; free memory, or set vm.nr_hugepages at boot",
			     why->text, cost);
}

static int make_any(const struct sn_config *c, const struct sn_paths *p, const struct needs *n, struct sn_memory *m,
		    enum sn_backing *ret_kind, uint32_t *ret_added, struct sn_error *notice, struct sn_error *err)
{
	struct sn_error why = { "" };
	int e = -ENOTSUP;

	*ret_kind = SN_BACKING_HUGETLB;
	if (c->hugepages != SN_NEVER)
		e = make_huge(p, n, m, ret_added, &why);
	if (!e)
		return 0;
	if (c->hugepages == SN_REQUIRED)
		return sn_error_set(err, e, "%s:%u: hugepages: required, but %.700s; use auto to go on without",
				    c->doc.file, sn_document_line(&c->doc, "hugepages"), why.text);
	say_fallback(c, &why, notice);
	*ret_kind = SN_BACKING_TMPFS;
	return make_backing(p, SN_BACKING_TMPFS, n->region_b, m, err);
}

static int open_read_only(const struct sn_paths *p)
{
	int fd = open(p->region, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int format(const struct sn_config *c, struct sn_memory *m, enum sn_backing kind, uint32_t added)
{
	struct sn_geometry geo;
	int e;

	sn_config_geometry(c, &geo);
	e = sn_region_format(m->mem, m->size_b, &geo, c->instance);
	if (e)
		return e;
	if (sn_region_join(m->mem, m->size_b, true, &m->region))
		return -EPROTO;
	m->region.hdr->backing = kind;
	m->region.hdr->hugepages_added = added;
	m->region.hdr->config_hash = sn_config_hash(c);
	return 0;
}

int sn_memory_create(const struct sn_config *c, const struct sn_paths *p, uint32_t frame_b, struct sn_memory *ret,
		     struct sn_error *notice, struct sn_error *err)
{
	struct sn_memory m = { .fd = -1, .fd_ro = -1, .frame_b = frame_b };
	struct needs n = needs_of(c, frame_b);
	enum sn_backing kind = SN_BACKING_TMPFS;
	uint32_t added = 0;
	int e = check_available(c, &n, err);

	notice->text[0] = '\0';
	if (!e)
		e = make_any(c, p, &n, &m, &kind, &added, notice, err);
	if (e)
		return e;
	sn_hugepages_note(p->hugepages, added);
	e = format(c, &m, kind, added);
	if (!e) {
		m.fd_ro = open_read_only(p);
		e = SN_MIN(m.fd_ro, 0);
	}
	if (e)
		goto fail_region;
	*ret = m;
	return 0;
fail_region:
	sn_memory_leave(&m);
	sn_mounts_remove_memory(p);
	sn_hugepages_return(added);
	unlink(p->hugepages);
	return sn_error_set(err, e, "%s cannot be formatted: %s", p->region, strerror(-e));
}

static int refuse_region(const struct sn_paths *p, const char *file, const char *why, struct sn_error *err)
{
	return sn_error_set(err, -EPROTO, "%s: %s; to make it anew, without its flows: shardnatd --recreate -c %s",
			    p->region, why, file);
}

static int check_shape(const struct sn_config *c, const struct sn_paths *p, const struct sn_memory *m, const char *file,
		       struct sn_error *err)
{
	const struct sn_geometry *old = &m->region.geo;
	struct sn_geometry geo;
	char why[256];

	sn_config_geometry(c, &geo);
	if (!memcmp(old, &geo, sizeof(geo)) && m->region.hdr->config_hash == sn_config_hash(c))
		return 0;
	snprintf(why, sizeof(why),
		 "the region that is there has another shape (%u workers, %u shards, %u flows, %u addresses, blocks of "
		 "%u, or other interfaces, pools or frames) than the configuration",
		 old->workers, old->shards, old->flows, old->addresses, old->block_size);
	return refuse_region(p, file, why, err);
}

static int join_mapped(const struct sn_config *c, const struct sn_paths *p, const char *file, struct sn_memory *m,
		       struct sn_error *err)
{
	int error = sn_region_join(m->mem, m->size_b, true, &m->region);
	const struct sn_header *h = m->mem;
	char why[160];

	if (error == SN_JOIN_ABI) {
		snprintf(why, sizeof(why), "%s (ABI %u.%u, this one has %u.%u)", sn_join_error_text(error),
			 h->abi_major, h->abi_minor, SN_ABI_MAJOR, SN_ABI_MINOR);
		return refuse_region(p, file, why, err);
	}
	if (error)
		return refuse_region(p, file, sn_join_error_text(error), err);
	return check_shape(c, p, m, file, err);
}

int sn_memory_join(const struct sn_config *c, const struct sn_paths *p, uint32_t frame_b, const char *file,
		   struct sn_memory *ret, struct sn_error *err)
{
	struct sn_memory m = { .fd = -1, .fd_ro = -1, .frame_b = frame_b };
	int e;

	m.fd = sn_backing_open(c->instance, true, &m.size_b);
	if (m.fd == -ENOENT || m.fd == -ENOTDIR)
		return -ENOENT;
	if (m.fd < 0)
		return sn_error_set(err, m.fd, "%s cannot be opened: %s", p->region, strerror(-m.fd));
	m.mem = m.size_b >= sizeof(struct sn_header) ? sn_backing_map(m.fd, m.size_b, true) : NULL;
	e = m.mem ? join_mapped(c, p, file, &m, err) : refuse_region(p, file, sn_join_error_text(SN_JOIN_GARBAGE), err);
	if (!e) {
		m.fd_ro = open_read_only(p);
		e = SN_MIN(m.fd_ro, 0);
	}
	if (e) {
		sn_memory_leave(&m);
		return e;
	}
	*ret = m;
	return 0;
}

void sn_memory_reserve_packets(const struct sn_config *c, const struct sn_paths *p, struct sn_memory *m)
{
	struct needs n = needs_of(c, m->frame_b);
	uint32_t added = 0;

	if (m->region.hdr->backing != SN_BACKING_HUGETLB ||
	    sn_hugepages_reserve(sn_hugepages_for(n.packets_b), &added, NULL) != 0)
		return;
	m->region.hdr->hugepages_added += added;
	sn_hugepages_note(p->hugepages, m->region.hdr->hugepages_added);
}

void sn_memory_leave(struct sn_memory *m)
{
	if (m->mem)
		sn_backing_unmap(m->mem, m->size_b);
	if (m->fd >= 0)
		close(m->fd);
	if (m->fd_ro >= 0)
		close(m->fd_ro);
	m->mem = NULL;
	m->fd = m->fd_ro = -1;
}

void sn_memory_remove(struct sn_memory *m, const struct sn_paths *p)
{
	uint32_t added = m->mem ? m->region.hdr->hugepages_added : sn_hugepages_noted(p->hugepages);

	sn_memory_leave(m);
	sn_mounts_remove_memory(p);
	sn_hugepages_return(added);
	unlink(p->hugepages);
}

static int packet_fd(size_t size_b, bool huge)
{
	int fd = memfd_create("shardnat-packets", MFD_CLOEXEC | (huge ? MFD_HUGETLB | MFD_HUGE_2MB : 0));
	int err;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size_b) == 0 && fallocate(fd, 0, 0, (off_t)size_b) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

int sn_packet_memory_make(uint32_t frames, uint32_t frame_b, bool huge, struct sn_packet_memory *ret,
			  struct sn_error *err)
{
	struct sn_packet_memory m = { .fd = -1, .size_b = round_page(sn_umem_footprint(frames, frame_b)) };
	int e;

	m.fd = packet_fd(m.size_b, huge);
	if (m.fd < 0 && huge)
		m.fd = packet_fd(m.size_b, false);
	e = SN_MIN(m.fd, 0);
	if (!e)
		m.mem = sn_backing_map(m.fd, m.size_b, true);
	if (!e && !m.mem)
		e = -errno;
	if (e) {
		sn_packet_memory_fini(&m);
		return sn_error_set(err, e, "packet memory of %zu MB cannot be had: %s; use fewer frames or workers",
				    MB(m.size_b), strerror(-e));
	}
	sn_umem_format(m.mem, frames, frame_b);
	*ret = m;
	return 0;
}

int sn_packet_memory_take(int fd, uint32_t frames, struct sn_packet_memory *ret, uint32_t *ret_frame_b)
{
	struct sn_packet_memory m = { .fd = fd };
	uint32_t frame_b = 0;
	struct sn_umem u;
	int e = sn_umem_join(fd, false, &u);

	if (!e) {
		frame_b = u.frame_b;
		e = u.frame_count == frames ? 0 : -EPROTO;
		sn_umem_leave(&u);
	}
	if (!e) {
		m.size_b = round_page(sn_umem_footprint(frames, frame_b));
		m.mem = sn_backing_map(fd, m.size_b, true);
		e = m.mem ? 0 : -errno;
	}
	if (e) {
		sn_packet_memory_fini(&m);
		return e;
	}
	*ret = m;
	*ret_frame_b = frame_b;
	return 0;
}

void sn_packet_memory_fini(struct sn_packet_memory *m)
{
	if (m->mem)
		sn_backing_unmap(m->mem, m->size_b);
	if (m->fd >= 0)
		close(m->fd);
	m->mem = NULL;
	m->fd = -1;
}
