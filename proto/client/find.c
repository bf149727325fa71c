/* find.c: which instances there are, and how to reach their sockets. */
#include "client/node.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define RUN_DIR "/run/shardnat"

/* "/" separates, "." begins what is not an instance (INSTANCE.mem, INSTANCE.bpf, INSTANCE.sup, INSTANCE.lock). */
#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

const char *shardnat_run_dir(void)
{
	const char *dir = getenv("SHARDNAT_RUN_DIR");

	return dir && *dir ? dir : RUN_DIR;
}

bool sn_client_name_ok(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len < SHARDNAT_NAME_B && strspn(name, NAME_CHARS) == len;
}

/* SHARDNAT_OK if an instance's socket is there, or may be there for somebody with more rights. */
static int look(const char *instance)
{
	char path[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s/api", shardnat_run_dir(), instance);
	if (!stat(path, &st))
		return S_ISSOCK(st.st_mode) ? SHARDNAT_OK : SHARDNAT_E_NO_INSTANCE;
	return errno == EACCES ? SHARDNAT_E_PERMISSION : SHARDNAT_E_NO_INSTANCE;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

int shardnat_instances(char (*ret_names)[SHARDNAT_NAME_B], size_t max)
{
	DIR *dir = opendir(shardnat_run_dir());
	struct dirent *e;
	size_t found = 0;

	if (!dir)
		return errno == EACCES ? -SHARDNAT_E_PERMISSION : errno == ENOMEM ? -SHARDNAT_E_NO_MEMORY : 0;
	while ((e = readdir(dir))) {
		if (!sn_client_name_ok(e->d_name) || look(e->d_name) == SHARDNAT_E_NO_INSTANCE)
			continue;
		if (found < max)
			snprintf(ret_names[found], SHARDNAT_NAME_B, "%.*s", SHARDNAT_NAME_B - 1, e->d_name);
		found++;
	}
	closedir(dir);
	qsort(ret_names, found < max ? found : max, SHARDNAT_NAME_B, by_name);
	return (int)found;
}

int sn_client_find(const char *instance, char ret_name[SHARDNAT_NAME_B])
{
	char names[1][SHARDNAT_NAME_B];
	int count, err;

	if (!instance) {
		count = shardnat_instances(names, 1);
		if (count != 1)
			return count < 0 ? -count : count ? SHARDNAT_E_SEVERAL : SHARDNAT_E_NO_INSTANCE;
		instance = names[0];
	}
	if (!sn_client_name_ok(instance))
		return SHARDNAT_E_INVALID;
	err = look(instance);
	if (!err)
		snprintf(ret_name, SHARDNAT_NAME_B, "%s", instance);
	return err;
}

int sn_client_error(int nng_error)
{
	switch (nng_error) {
	case 0:
		return SHARDNAT_OK;
	case NNG_ENOMEM:
		return SHARDNAT_E_NO_MEMORY;
	case NNG_EPERM:
	case NNG_ESYSERR + EACCES:
		return SHARDNAT_E_PERMISSION;
	case NNG_EMSGSIZE:
	case NNG_EPROTO:
		return SHARDNAT_E_PROTOCOL;
	default:
		return SHARDNAT_E_NO_ANSWER;
	}
}

int sn_client_dial(nng_socket socket, const char *instance, const char *which)
{
	char url[PATH_MAX];

	snprintf(url, sizeof(url), "ipc://%s/%s/%s", shardnat_run_dir(), instance, which);
	return sn_client_error(nng_dial(socket, url, NULL, 0));
}
