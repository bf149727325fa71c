/* status_json.h: the status as one JSON object on one line. Keys are only ever added. */
#ifndef SN_CLI_STATUS_JSON_H
#define SN_CLI_STATUS_JSON_H

#include <stdio.h>

#include "shardnat.h"

void sn_status_json(FILE *out, const Shardnat__StatusReply *s);

#endif
