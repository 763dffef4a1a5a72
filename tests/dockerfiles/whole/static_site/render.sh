#!/bin/sh
# A page: its first line is the title.
awk 'NR == 1 { print "<title>" $0 "</title><h1>" $0 "</h1>"; next } { print "<p>" $0 }' "$1"
