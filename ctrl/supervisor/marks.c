/*
 * marks.c: where each value of a YAML file stands, from libyaml's document tree. Finds syntax errors and double keys
 * on the way, so that libcyaml only sees files that are YAML.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "document.h"

struct walk {
	struct sn_document *doc;
	yaml_document_t *yaml;
	struct sn_error *err;
	size_t room;
	unsigned depth;
};

#define DEPTH_MAX 16

static int walk_node(struct walk *w, int id, const char *path);

static int add_mark(struct walk *w, const char *path, const yaml_node_t *node)
{
	struct sn_document *d = w->doc;

	if (d->mark_count == w->room) {
		size_t room = w->room ? w->room * 2 : 64;
		struct sn_mark *marks = reallocarray(d->marks, room, sizeof(*marks));

		if (!marks)
			return -ENOMEM;
		d->marks = marks;
		w->room = room;
	}
	snprintf(d->marks[d->mark_count].path, SN_PATH_B, "%s", path);
	d->marks[d->mark_count++].line = (unsigned)node->start_mark.line + 1;
	return 0;
}

static int refuse_double(struct walk *w, const yaml_node_t *key, const char *path)
{
	snprintf(w->err->text, sizeof(w->err->text), "%s:%zu: %s: the key is there twice; use it once", w->doc->file,
		 key->start_mark.line + 1, path);
	return -EINVAL;
}

static bool marked(const struct sn_document *d, const char *path)
{
	for (size_t i = 0; i < d->mark_count; i++)
		if (!strcmp(d->marks[i].path, path))
			return true;
	return false;
}

static int walk_mapping(struct walk *w, const yaml_node_t *node, const char *path)
{
	for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++) {
		const yaml_node_t *key = yaml_document_get_node(w->yaml, p->key);
		char sub[SN_PATH_B];
		int err;

		if (!key || key->type != YAML_SCALAR_NODE)
			continue;
		snprintf(sub, sizeof(sub), "%s%s%.40s", path, *path ? "." : "", (const char *)key->data.scalar.value);
		if (marked(w->doc, sub))
			return refuse_double(w, key, sub);
		err = walk_node(w, p->value, sub);
		if (err)
			return err;
	}
	return 0;
}

static int walk_sequence(struct walk *w, const yaml_node_t *node, const char *path)
{
	unsigned n = 0;

	for (yaml_node_item_t *i = node->data.sequence.items.start; i < node->data.sequence.items.top; i++, n++) {
		char sub[SN_PATH_B];
		int err;

		snprintf(sub, sizeof(sub), "%.100s[%u]", path, n);
		err = walk_node(w, *i, sub);
		if (err)
			return err;
	}
	return 0;
}

static int walk_node(struct walk *w, int id, const char *path)
{
	const yaml_node_t *node = yaml_document_get_node(w->yaml, id);
	int err;

	if (!node)
		return 0;
	if (w->depth == DEPTH_MAX) {
		snprintf(w->err->text, sizeof(w->err->text), "%s:%zu: %s: lists and keys are nested too deep",
			 w->doc->file, node->start_mark.line + 1, path);
		return -EINVAL;
	}
	err = *path ? add_mark(w, path, node) : 0;
	if (err)
		return err;
	w->depth++;
	if (node->type == YAML_MAPPING_NODE)
		err = walk_mapping(w, node, path);
	else if (node->type == YAML_SEQUENCE_NODE)
		err = walk_sequence(w, node, path);
	w->depth--;
	return err;
}

static int walk_file(struct sn_document *d, FILE *f, struct sn_error *err)
{
	struct walk w = { .doc = d, .err = err };
	yaml_parser_t parser;
	yaml_document_t yaml;
	int ret = 0;

	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_input_file(&parser, f);
	if (!yaml_parser_load(&parser, &yaml)) {
		snprintf(err->text, sizeof(err->text), "%s:%zu: not YAML: %s", d->file, parser.problem_mark.line + 1,
			 parser.problem ? parser.problem : "unreadable");
		ret = -EINVAL;
		goto out_parser;
	}
	w.yaml = &yaml;
	if (yaml_document_get_root_node(&yaml))
		ret = walk_node(&w, 1, "");
	yaml_document_delete(&yaml);
out_parser:
	yaml_parser_delete(&parser);
	return ret;
}

int sn_document_mark(struct sn_document *d, struct sn_error *err)
{
	FILE *f = fopen(d->file, "re");
	int ret;

	if (!f) {
		snprintf(err->text, sizeof(err->text), "%s: cannot be read: %s", d->file, strerror(errno));
		return -EINVAL;
	}
	ret = walk_file(d, f, err);
	fclose(f);
	return ret;
}

/* Cuts the last ".key" or "[n]" off a path; false if nothing is left. */
static bool enclosing(char *path)
{
	char *dot = strrchr(path, '.'), *bracket = strrchr(path, '[');
	char *cut = dot > bracket ? dot : bracket;

	if (!cut)
		return false;
	*cut = '\0';
	return true;
}

unsigned sn_document_line(const struct sn_document *d, const char *path)
{
	char at[SN_PATH_B];

	snprintf(at, sizeof(at), "%s", path);
	do {
		for (size_t i = 0; i < d->mark_count; i++)
			if (!strcmp(d->marks[i].path, at))
				return d->marks[i].line;
	} while (enclosing(at));
	return 1;
}
