/*
 * offloads.c: see offloads.h. The old ethtool ioctls: they are one number each, and every kernel has them.
 */
#include "offloads.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum when { VIRTUAL, PACKET_SOCKET, ALWAYS };

static const struct {
	const char *name;
	uint32_t get, set, bit; /* bit 0: the value is the state */
	enum when when;
} features[] = {
	{ "tx checksums", ETHTOOL_GTXCSUM, ETHTOOL_STXCSUM, 0, VIRTUAL },
	{ "rx checksums", ETHTOOL_GRXCSUM, ETHTOOL_SRXCSUM, 0, VIRTUAL },
	{ "TSO", ETHTOOL_GTSO, ETHTOOL_STSO, 0, VIRTUAL },
	{ "GSO", ETHTOOL_GGSO, ETHTOOL_SGSO, 0, VIRTUAL },
	{ "GRO", ETHTOOL_GGRO, ETHTOOL_SGRO, 0, PACKET_SOCKET },
	{ "LRO", ETHTOOL_GFLAGS, ETHTOOL_SFLAGS, ETH_FLAG_LRO, ALWAYS },
};

static int ask(uint32_t ifindex, void *command)
{
	struct ifreq ifr = { .ifr_data = command };
	int fd, err;

	if (!if_indextoname(ifindex, ifr.ifr_name))
		return -ENODEV;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	err = ioctl(fd, SIOCETHTOOL, &ifr) ? -errno : 0;
	close(fd);
	return err;
}

static bool is_on(uint32_t ifindex, uint32_t feature)
{
	struct ethtool_value v = { .cmd = features[feature].get };

	return !ask(ifindex, &v) && (features[feature].bit ? v.data & features[feature].bit : v.data);
}

static int switch_to(uint32_t ifindex, uint32_t feature, bool on)
{
	struct ethtool_value v = { .cmd = features[feature].get };
	uint32_t bit = features[feature].bit ? features[feature].bit : 1;
	int err = ask(ifindex, &v);

	if (err)
		return err;
	v.cmd = features[feature].set;
	v.data = on ? v.data | bit : v.data & ~bit;
	return ask(ifindex, &v);
}

void sn_offloads_driver(uint32_t ifindex, char *ret, size_t room)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };

	snprintf(ret, room, "%s", ask(ifindex, &info) ? "?" : info.driver);
}

static bool is_virtual(uint32_t ifindex)
{
	static const char *const drivers[] = { "veth", "virtio_net", "tun", "bridge", "vif", "hv_netvsc", "vmxnet3" };
	char driver[32];

	sn_offloads_driver(ifindex, driver, sizeof(driver));
	for (uint32_t i = 0; i < SN_ARRAY_LEN(drivers); i++)
		if (!strcmp(driver, drivers[i]))
			return true;
	return false;
}

/* Adds to what a predecessor noted: what it switched off is not on now. */
static void note(const char *dir, uint32_t ifindex, uint32_t mask)
{
	char path[PATH_MAX], prefix[64];
	DIR *d = opendir(dir);
	struct dirent *e;
	unsigned before;

	snprintf(prefix, sizeof(prefix), SN_OFFLOADS_PREFIX "%u-", ifindex);
	while (d && (e = readdir(d)))
		if (!strncmp(e->d_name, prefix, strlen(prefix)) && sscanf(e->d_name + strlen(prefix), "%x", &before) == 1) {
			mask |= before;
			snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
			rmdir(path);
		}
	if (d)
		closedir(d);
	snprintf(path, sizeof(path), "%s/%s%x", dir, prefix, mask);
	mkdir(path, 0700);
}

int sn_offloads_off(const char *dir, uint32_t ifindex, bool packet_socket, char *ret_text, size_t room, bool *ret_virtual)
{
	bool virtual = is_virtual(ifindex);
	uint32_t mask = 0;
	size_t used = 0;
	int first = 0;

	ret_text[0] = '\0';
	for (uint32_t f = 0; f < SN_ARRAY_LEN(features); f++) {
		bool wanted = virtual || features[f].when == ALWAYS || (packet_socket && features[f].when == PACKET_SOCKET);
		int err;

		if (!wanted || !is_on(ifindex, f))
			continue;
		err = switch_to(ifindex, f, false);
		first = first ? first : err;
		if (err || is_on(ifindex, f))
			continue;
		mask |= 1u << f;
		used += used < room ? (size_t)snprintf(ret_text + used, room - used, "%s%s", used ? ", " : "", features[f].name) : 0;
	}
	if (mask)
		note(dir, ifindex, mask);
	if (ret_virtual)
		*ret_virtual = virtual;
	return first;
}

int sn_offloads_restore(const char *dir, const char *name)
{
	unsigned ifindex, mask;
	char path[PATH_MAX];
	int first = 0;

	if (sscanf(name, SN_OFFLOADS_PREFIX "%u-%x", &ifindex, &mask) != 2)
		return -EINVAL;
	for (uint32_t f = 0; f < SN_ARRAY_LEN(features); f++) {
		int err = mask & 1u << f ? switch_to(ifindex, f, true) : 0;

		first = first ? first : err;
	}
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	rmdir(path);
	return first == -ENODEV ? 0 : first;
}
