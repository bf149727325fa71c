/*
 * test_umem.c: layout, join and the states of frames.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "io/umem.h"
#include "seed.h"

#define FRAMES 300
#define FRAME_B 2048

static int make_fd(uint32_t frames)
{
	size_t size_b = sn_umem_footprint(frames, FRAME_B);
	int fd = memfd_create("test_umem", 0);
	void *mem;

	cr_assert_eq(ftruncate(fd, (off_t)size_b), 0);
	mem = mmap(NULL, size_b, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	cr_assert_neq(mem, MAP_FAILED);
	sn_umem_format(mem, frames, FRAME_B);
	munmap(mem, size_b);
	return fd;
}

static struct sn_umem join(int fd)
{
	struct sn_umem u;

	cr_assert_eq(sn_umem_join(fd, true, &u), 0);
	return u;
}

static void assert_counts(const struct sn_umem *u, const uint32_t want[SN_FRAME_STATES])
{
	uint32_t counts[SN_FRAME_STATES];

	sn_umem_count(u, counts);
	for (uint32_t s = 0; s < SN_FRAME_STATES; s++)
		cr_assert_eq(counts[s], want[s], "state %u: %u frames, not %u", s, counts[s], want[s]);
}

Test(umem, fresh_frames_are_free_and_apart)
{
	int fd = make_fd(FRAMES);
	struct sn_umem u = join(fd);
	bool seen[FRAMES] = { false };

	cr_assert_eq(sn_umem_take(&u), SN_NONE, "the stack is empty until it is rebuilt");
	cr_assert_eq(sn_umem_reclaim(&u), 0);
	for (uint32_t i = 0; i < FRAMES; i++) {
		uint32_t f = sn_umem_take(&u);

		cr_assert(f < FRAMES && !seen[f]);
		seen[f] = true;
		sn_umem_frame(&u, f)[0] = (uint8_t)f;
		sn_umem_frame(&u, f)[FRAME_B - 1] = (uint8_t)f;
	}
	cr_assert_eq(sn_umem_take(&u), SN_NONE);
	assert_counts(&u, (uint32_t[SN_FRAME_STATES]){ [SN_FRAME_WORK] = FRAMES });
	for (uint32_t f = 0; f < FRAMES; f++)
		cr_assert(sn_umem_frame(&u, f)[0] == (uint8_t)f && sn_umem_frame(&u, f)[FRAME_B - 1] == (uint8_t)f);
	sn_umem_leave(&u);
	close(fd);
}

Test(umem, frames_are_aligned_for_huge_pages_and_cover_the_rest)
{
	for (uint32_t frames = 1; frames < 5000000; frames = frames * 3 + 1) {
		if (frames > 1u << 22)
			break;
		cr_assert_eq(sn_umem_frames_off_b(frames) % (2 << 20), 0);
		cr_assert_eq(sn_umem_footprint(frames, 4096) % (2 << 20), 0);
		cr_assert_geq(sn_umem_footprint(frames, 4096) - sn_umem_frames_off_b(frames), (size_t)frames * 4096);
	}
}

Test(umem, successor_gets_work_back_and_leaves_the_kernels_frames)
{
	int fd = make_fd(FRAMES);
	struct sn_umem u = join(fd);

	sn_umem_reclaim(&u);
	for (uint32_t i = 0; i < 60; i++) {
		static const enum sn_frame_state states[] = {
			SN_FRAME_WORK, SN_FRAME_FILL, SN_FRAME_TX, SN_FRAME_HANDOFF, SN_FRAME_FILLING, SN_FRAME_TXING,
		};

		sn_umem_mark(&u, sn_umem_take(&u), states[i % 6]);
	}
	sn_umem_leave(&u);
	u = join(fd);
	cr_assert_eq(sn_umem_reclaim(&u), 10);
	assert_counts(&u, (uint32_t[SN_FRAME_STATES]){ [SN_FRAME_FREE] = FRAMES - 50, [SN_FRAME_FILL] = 20,
						       [SN_FRAME_TX] = 20, [SN_FRAME_HANDOFF] = 10 });
	cr_assert_eq(u.free_count, FRAMES - 50);
	sn_umem_leave(&u);
	close(fd);
}

Test(umem, random_changes_keep_each_frame_in_one_state)
{
	uint64_t seed = seed_start(7);
	int fd = make_fd(FRAMES);
	struct sn_umem u = join(fd);
	uint32_t held[FRAMES], n = 0, given_away = 0;

	sn_umem_reclaim(&u);
	for (uint32_t i = 0; i < 20000; i++) {
		uint32_t at = n ? seed_below(&seed, n) : 0;

		switch (seed_below(&seed, 5)) {
		case 0: case 1:
			held[n] = sn_umem_take(&u);
			n += held[n] != SN_NONE;
			break;
		case 2: case 3:
			if (!n)
				break;
			sn_umem_give(&u, held[at]);
			held[at] = held[--n];
			break;
		default:
			if (!n || given_away == 50)
				break;
			sn_umem_mark(&u, held[at], SN_FRAME_TX);
			given_away++;
			held[at] = held[--n];
		}
		cr_assert_eq(u.free_count + n + given_away, FRAMES);
	}
	assert_counts(&u, (uint32_t[SN_FRAME_STATES]){ [SN_FRAME_FREE] = u.free_count, [SN_FRAME_WORK] = n,
						       [SN_FRAME_TX] = given_away });
	sn_umem_leave(&u);
	close(fd);
}

Test(umem, corrupt_states_are_lost_but_never_owned_twice)
{
	uint64_t seed = seed_start(11);
	int fd = make_fd(FRAMES);
	struct sn_umem u = join(fd);
	uint32_t counts[SN_FRAME_STATES], total = 0;

	for (uint32_t i = 0; i < FRAMES; i++)
		atomic_store(&u.state[i], (uint8_t)seed_next(&seed));
	sn_umem_reclaim(&u);
	sn_umem_count(&u, counts);
	for (uint32_t s = 0; s < SN_FRAME_STATES; s++)
		total += counts[s];
	cr_assert_eq(total, FRAMES);
	cr_assert_eq(u.free_count, counts[SN_FRAME_FREE]);
	sn_umem_leave(&u);
	close(fd);
}

static void spoil(int fd, size_t off_b, uint32_t value)
{
	cr_assert_eq(pwrite(fd, &value, sizeof(value), (off_t)off_b), sizeof(value));
}

Test(umem, join_refuses_what_is_not_packet_memory)
{
	static const struct { size_t off_b; uint32_t value; } spoilt[] = {
		{ offsetof(struct sn_umem_header, magic), 0 },
		{ offsetof(struct sn_umem_header, frame_count), 0 },
		{ offsetof(struct sn_umem_header, frame_count), UINT32_MAX },
		{ offsetof(struct sn_umem_header, frame_count), FRAMES * 4000 }, /* more than the file holds */
		{ offsetof(struct sn_umem_header, frame_b), 0 },
		{ offsetof(struct sn_umem_header, frame_b), 2049 },
		{ offsetof(struct sn_umem_header, frames_off_b), 64 },
	};
	struct sn_umem u;
	int fd;

	for (uint32_t i = 0; i < SN_ARRAY_LEN(spoilt); i++) {
		fd = make_fd(FRAMES);
		spoil(fd, spoilt[i].off_b, spoilt[i].value);
		cr_assert_eq(sn_umem_join(fd, true, &u), -EPROTO, "case %u", i);
		close(fd);
	}
	fd = memfd_create("test_umem", 0);
	cr_assert_eq(sn_umem_join(fd, true, &u), -EPROTO, "an empty file");
	close(fd);
	cr_assert_eq(sn_umem_join(-1, true, &u), -EBADF);
}

Test(umem, two_joins_see_the_same_frames)
{
	int fd = make_fd(FRAMES);
	struct sn_umem owner = join(fd), other;

	cr_assert_eq(sn_umem_join(fd, false, &other), 0);
	cr_assert_null(other.stack);
	cr_assert_neq(owner.frames, other.frames);
	sn_umem_frame(&other, 299)[7] = 0x5a;
	cr_assert_eq(sn_umem_frame(&owner, 299)[7], 0x5a);
	sn_umem_leave(&other);
	sn_umem_leave(&owner);
	sn_umem_leave(&owner);
	close(fd);
}

/* Giving twice would put a frame into two hands: the process dies instead. */
Test(umem, giving_a_frame_twice_is_a_bug, .signal = SIGABRT)
{
	struct sn_umem u = join(make_fd(FRAMES));
	uint32_t frame;

	sn_umem_reclaim(&u);
	sn_umem_take(&u);
	frame = sn_umem_take(&u);
	sn_umem_give(&u, frame);
	sn_umem_give(&u, frame);
}
