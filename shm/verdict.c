/*
 * verdict.c: the words for each verdict.
 */
#include "verdict.h"

static const char *const names[] = {
#define X(id, name, help) [SN_V_##id] = name,
	SN_VERDICTS(X)
#undef X
};

static const char *const helps[] = {
#define X(id, name, help) [SN_V_##id] = help,
	SN_VERDICTS(X)
#undef X
};

const char *sn_verdict_name(enum sn_verdict v)
{
	return (unsigned int)v < SN_V_COUNT ? names[v] : "?";
}

const char *sn_verdict_help(enum sn_verdict v)
{
	return (unsigned int)v < SN_V_COUNT ? helps[v] : "?";
}
