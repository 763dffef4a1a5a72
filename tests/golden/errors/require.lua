require "no.such.module"
