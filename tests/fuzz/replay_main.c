/*
 * replay_main.c: runs a libFuzzer target without libFuzzer: each file of a corpus folder as it is, then as many
 * mutations of them as asked for. Each run depends on (seed, number of the run) alone; both are printed when one dies.
 *
 *     fuzz_parse CORPUS [RUNS [SEED [FIRST]]]
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INPUT_MAX_B 4096u
#define FILES_MAX 1024u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_b);
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

struct input {
	uint32_t len_b;
	uint8_t bytes[INPUT_MAX_B];
};

static struct input *files;
static uint32_t file_count;
static char running[512]; /* what to say if this run dies */

static uint64_t next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static void say_what_was_running(void)
{
	if (write(STDERR_FILENO, running, strlen(running)) < 0)
		_exit(1);
}

static void on_signal(int sig)
{
	say_what_was_running();
	raise(sig); /* the handler was reset: this one kills */
}

static void watch_for_death(void)
{
	struct sigaction on = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND | SA_NODEFER };

	sigaction(SIGABRT, &on, NULL);
	if (__sanitizer_set_death_callback) {
		__sanitizer_set_death_callback(say_what_was_running);
		return;
	}
	sigaction(SIGSEGV, &on, NULL);
	sigaction(SIGBUS, &on, NULL);
	sigaction(SIGFPE, &on, NULL);
}

static int read_file(const char *folder, const char *name)
{
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "rb");
	if (!file)
		return -errno;
	files[file_count].len_b = (uint32_t)fread(files[file_count].bytes, 1, INPUT_MAX_B, file);
	file_count++;
	fclose(file);
	return 0;
}

/* Sorted, so that a seed means the same on every machine. */
static int read_folder(const char *folder)
{
	struct dirent **entries;
	int count = scandir(folder, &entries, NULL, alphasort), err = 0;

	if (count < 0)
		return -errno;
	for (int i = 0; i < count; i++) {
		if (entries[i]->d_name[0] != '.' && err == 0 && file_count < FILES_MAX)
			err = read_file(folder, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return err ? err : file_count == 0 ? -ENOENT : 0;
}

/* Puts a piece of another input over this one; it may make it longer. */
static void splice(struct input *in, uint64_t *state)
{
	const struct input *from = &files[next(state) % file_count];
	uint32_t at, take_b;

	if (from->len_b == 0)
		return;
	at = (uint32_t)(next(state) % (in->len_b + 1));
	take_b = (uint32_t)(next(state) % from->len_b);
	if (at + take_b > INPUT_MAX_B)
		take_b = INPUT_MAX_B - at;
	memcpy(in->bytes + at, from->bytes + (from->len_b - take_b), take_b);
	if (at + take_b > in->len_b)
		in->len_b = at + take_b;
}

static void mutate(struct input *in, uint64_t *state)
{
	static const uint8_t edges[] = { 0, 1, 4, 5, 0x45, 0x4f, 0x7f, 0x80, 0xff };
	uint32_t at = in->len_b ? (uint32_t)(next(state) % in->len_b) : 0;

	switch (next(state) % 6) {
	case 0:
	case 1:
		in->bytes[at] ^= (uint8_t)(1u << next(state) % 8);
		break;
	case 2:
		in->bytes[at] = (uint8_t)next(state);
		break;
	case 3:
		in->bytes[at] = edges[next(state) % sizeof(edges)];
		break;
	case 4:
		in->len_b = at;
		break;
	default:
		splice(in, state);
	}
}

static void run_one(uint64_t seed, uint64_t run)
{
	static struct input in;
	uint64_t state = seed ^ run * 0xd1342543de82ef95u;

	snprintf(running, sizeof(running), "\nreplay: died in run %lu of seed %lu\n", (unsigned long)run,
		 (unsigned long)seed);
	in = files[next(&state) % file_count];
	for (uint64_t left = 1 + next(&state) % 6; left > 0; left--)
		mutate(&in, &state);
	LLVMFuzzerTestOneInput(in.bytes, in.len_b);
}

int main(int argc, char **argv)
{
	uint64_t runs = argc > 2 ? strtoull(argv[2], NULL, 0) : 0, seed = argc > 3 ? strtoull(argv[3], NULL, 0) : 1;
	uint64_t first = argc > 4 ? strtoull(argv[4], NULL, 0) : 0;
	int err;

	if (argc < 2) {
		fprintf(stderr, "usage: %s CORPUS [RUNS [SEED [FIRST]]]\n", argv[0]);
		return 2;
	}
	files = calloc(FILES_MAX, sizeof(*files));
	err = files ? read_folder(argv[1]) : -ENOMEM;
	if (err) {
		fprintf(stderr, "%s: %s: %s\n", argv[0], argv[1], strerror(-err));
		return 2;
	}
	watch_for_death();
	for (uint32_t i = 0; i < file_count; i++) {
		snprintf(running, sizeof(running), "\nreplay: died in file %u of %s\n", i, argv[1]);
		LLVMFuzzerTestOneInput(files[i].bytes, files[i].len_b);
	}
	for (uint64_t run = first; run < first + runs; run++)
		run_one(seed, run);
	printf("%u files and %lu mutations of them (seed %lu)\n", file_count, (unsigned long)runs, (unsigned long)seed);
	free(files);
	return 0;
}
