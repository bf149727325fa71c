/* report.c: see report.h. */
#include "report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct report_row *row_of(struct report *r, const char *name)
{
	for (uint32_t i = 0; i < r->count; i++)
		if (!strcmp(r->rows[i].name, name))
			return &r->rows[i];
	SN_ASSERT(r->count < REPORT_ROWS_MAX);
	snprintf(r->rows[r->count].name, sizeof(r->rows[0].name), "%s", name);
	return &r->rows[r->count++];
}

void report_add(struct report *r, const char *name, const char *label, const char *unit, bool lower, double value,
		const char *peer, double peer_value)
{
	struct report_row *row;
	char full[40];

	snprintf(full, sizeof(full), "core/%s/%s", name, label);
	row = row_of(r, full);
	SN_ASSERT(row->rounds < REPORT_ROUNDS_MAX);
	snprintf(row->unit, sizeof(row->unit), "%s", unit);
	if (peer)
		snprintf(row->peer, sizeof(row->peer), "core/%s/%s", peer, label);
	row->lower = lower;
	row->value[row->rounds] = value;
	row->peer_value[row->rounds++] = peer_value;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct spread {
	double low, median, high;
};

static struct spread spread_of(const double *values, uint32_t n)
{
	double sorted[REPORT_ROUNDS_MAX];

	memcpy(sorted, values, n * sizeof(*values));
	qsort(sorted, n, sizeof(*sorted), compare);
	return (struct spread){ sorted[0], n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2, sorted[n - 1] };
}

static int decimals(double v)
{
	return v >= 1000 ? 0 : v >= 100 ? 1 : 2;
}

static void print_peer(const struct report_row *row, double value, FILE *to)
{
	double peer = spread_of(row->peer_value, row->rounds).median;

	if (!row->peer[0])
		return;
	fprintf(to, "  %6.2f x %s %.*f", value / peer, row->peer, decimals(peer), peer);
	if (!strcmp(row->unit, "ns/packet"))
		fprintf(to, ", %+.1f", value - peer);
}

static void print_row(const struct report_row *row, FILE *to)
{
	struct spread s = spread_of(row->value, row->rounds);

	fprintf(to, "%-24s %12.*f %-10s", row->name, decimals(s.median), s.median, row->unit);
	fprintf(to, " [%.*f .. %.*f]", decimals(s.median), s.low, decimals(s.median), s.high);
	if (!strcmp(row->unit, "ns/packet"))
		fprintf(to, " %6.2f Mpps", 1000 / s.median);
	print_peer(row, s.median, to);
	fprintf(to, "\n");
}

void report_print(struct report *r, FILE *to)
{
	for (; r->printed < r->count; r->printed++)
		print_row(&r->rows[r->printed], to);
	fflush(to);
}

static void json_row(const struct report_row *row, FILE *to)
{
	struct spread s = spread_of(row->value, row->rounds), p = spread_of(row->peer_value, row->rounds);

	fprintf(to, "{\"name\": \"%s\", \"value\": %.4f, \"unit\": \"%s\", \"better\": \"%s\", \"low\": %.4f, \"high\": %.4f",
		row->name, s.median, row->unit, row->lower ? "lower" : "higher", s.low, s.high);
	if (row->peer[0])
		fprintf(to, ", \"peer\": \"%s\", \"peer_value\": %.4f, \"ratio\": %.4f", row->peer, p.median, s.median / p.median);
	else
		fprintf(to, ", \"peer\": null, \"peer_value\": null, \"ratio\": null");
	fprintf(to, "}");
}

int report_json(const struct report *r, const char *path)
{
	FILE *f = fopen(path, "we");
	int err;

	if (!f)
		return -errno;
	fprintf(f, "[\n");
	for (uint32_t i = 0; i < r->count; i++) {
		json_row(&r->rows[i], f);
		fprintf(f, i + 1 < r->count ? ",\n" : "\n");
	}
	fprintf(f, "]\n");
	err = ferror(f) ? -EIO : 0;
	return fclose(f) ? -errno : err;
}
