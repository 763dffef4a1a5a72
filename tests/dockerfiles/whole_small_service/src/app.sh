#!/bin/sh
echo "app @V@ $1 $(id -u)"
