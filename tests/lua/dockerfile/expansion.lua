-- Variables and quotes in words, case by case.
local check = require "check"
local expand = require "dockerfile.expand"
local vars = { x = "value", e = "", path = "/usr/local/lib/a.tar.gz", u = "naïve", sp = "a b", n1 = "digit", star = "a*b", _y = "under" }
local function get(name) return vars[name] end

-- word, result
local good = {
  { "", "" }, { "plain", "plain" }, { "$x", "value" }, { "${x}", "value" }, { "a$x-b", "avalue-b" }, { "a${x}b", "avalueb" },
  { "$none", "" }, { "${none}", "" }, { "a$none.b", "a.b" }, { "$", "$" }, { "a$", "a$" }, { "$ a", "$ a" }, { "$.", "$." },
  { "$n1", "digit" }, { "$1x", "x" }, { "$_y", "under" }, { "$x$e$x", "valuevalue" }, { "$@", "" }, { "$$", "" },
  { "\\$x", "$x" }, { "\\\\$x", "\\value" }, { "a\\b", "ab" }, { "a\\", "a" }, { "\\ ", " " }, { "\\${x}", "${x}" },
  { "'$x'", "$x" }, { "'a b'", "a b" }, { "'\\'", "\\" }, { "''", "" }, { "a'b'c", "abc" }, { "'\"'", '"' },
  { '"$x"', "value" }, { '"a b"', "a b" }, { '"\\$x"', "$x" }, { '"\\""', '"' }, { '"\\\\"', "\\" }, { '"a\\b"', "a\\b" },
  { '"\'$x\'"', "'value'" }, { '""', "" }, { '"${x}"', "value" }, { '"\\n"', "\\n" },
  { "${x-d}", "value" }, { "${e-d}", "" }, { "${none-d}", "d" }, { "${none-}", "" }, { "${none-$x}", "value" }, { "${none-${x}}", "value" },
  { "${x:-d}", "value" }, { "${e:-d}", "d" }, { "${none:-d}", "d" }, { "${none:-a b}", "a b" }, { "${none:-'a}'}", "a}" }, { '${none:-"$x"}', "value" },
  { "${none:-${e:-${x}}}", "value" }, { "${none:-a\\}b}", "a}b" }, { "${none:-:-}", ":-" },
  { "${x+w}", "w" }, { "${e+w}", "w" }, { "${none+w}", "" }, { "${x:+w}", "w" }, { "${e:+w}", "" }, { "${none:+w}", "" }, { "${x:+$x!}", "value!" },
  { "${x?m}", "value" }, { "${e?m}", "" }, { "${x:?m}", "value" }, { "${x:?}", "value" },
  { "${path#/}", "usr/local/lib/a.tar.gz" }, { "${path#*/}", "usr/local/lib/a.tar.gz" }, { "${path##*/}", "a.tar.gz" }, { "${path#*}", "/usr/local/lib/a.tar.gz" },
  { "${path##*}", "" }, { "${path#zzz}", "/usr/local/lib/a.tar.gz" }, { "${path#/usr}", "/local/lib/a.tar.gz" }, { "${path#/us?}", "/local/lib/a.tar.gz" },
  { "${path%.*}", "/usr/local/lib/a.tar" }, { "${path%%.*}", "/usr/local/lib/a" }, { "${path%/*}", "/usr/local/lib" }, { "${path%%/*}", "" },
  { "${path%gz}", "/usr/local/lib/a.tar." }, { "${path%?z}", "/usr/local/lib/a.tar." }, { "${path%x}", "/usr/local/lib/a.tar.gz" },
  { "${u#na?}", "ve" }, { "${u%?ve}", "na" }, { "${u/ï/i}", "naive" }, { "${u/?/X}", "Xaïve" },
  { "${x/l/L}", "vaLue" }, { "${x//[a]/x}", "value" }, { "${path/\\//_}", "_usr/local/lib/a.tar.gz" }, { "${path//\\//_}", "_usr_local_lib_a.tar.gz" },
  { "${x/a*/Z}", "vZ" }, { "${x//?/-}", "-----" }, { "${x/zz/y}", "value" }, { "${x/v/}", "alue" }, { "${x/v/$e}", "alue" }, { "${x/v/$x}", "valuealue" },
  { "${star#a\\*}", "b" }, { "${star/\\*/+}", "a+b" }, { "${none#a}", "" }, { "${none/a/b}", "" }, { "${x%\"e\"}", "valu" },
  { "${path##*/}${x}", "a.tar.gzvalue" }, { "pre${path%.*}post", "pre/usr/local/lib/a.tarpost" },
}
for _, case in ipairs(good) do check.same(expand(case[1], get), case[2], case[1]) end

-- word, part of the message
local bad = {
  { "${", "missing '}'" }, { "${x", "missing '}'" }, { "${}", "bad substitution" }, { "${:x}", "bad substitution" }, { "${{x}}", "bad substitution" },
  { "${x:-d", "missing '}'" }, { "${x:=d}", "unsupported modifier ':='" }, { "${x=d}", "unsupported modifier '='" }, { "${x:#d}", "unsupported modifier ':#'" },
  { "${x^^}", "unsupported modifier '^'" }, { "${x,}", "unsupported modifier ','" }, { "${none?}", "none: is not allowed to be unset" }, { "${none?gone}", "none: gone" },
  { "${e:?}", "e: is not allowed to be empty" }, { "${e:?no $x}", "e: no value" }, { "${x/a}", "missing" }, { "'a", "single quote is not closed" },
  { '"a', "double quote is not closed" }, { '"${x"', "unsupported modifier" }, { "${x#\\a}", "invalid escape '\\a'" },
}
for _, case in ipairs(bad) do
  local ok, err = pcall(expand, case[1], get)
  if ok then error("expected a failure: " .. case[1]) end
  check.same(err.kind, "invalid_argument", case[1])
  check.has(err.message, case[2], case[1])
end

-- words: blanks split what is not quoted, also in values
local function words(text, options) return select(2, expand(text, get, options)) end
for _, case in ipairs {
  { "a b", { "a", "b" } }, { " a\t b ", { "a", "b" } }, { "$sp", { "a", "b" } }, { "x$sp", { "xa", "b" } }, { "'a b' c", { "a b", "c" } }, { '"$sp"', { "a b" } },
  { "a\\ b", { "a b" } }, { "$e", {} }, { "", {} }, { "80/$none", { "80/" } },
} do check.same(words(case[1]), case[2], case[1]) end

-- what stays as it is where that is asked for
check.same(expand("'$x' $none ${none:-d} \\a", get, { raw_quotes = true, raw_escapes = true, keep_unset = true }), "'$x' $none ${none:-d} \\a")
check.same(expand("'$x' \"$e\"", get, { skip_quotes = true }), "'value' \"\"")
check.same(expand("`$x $x\\", get, { escape = "`" }), "$x value\\")
check.same(words("cat <<EOF <<  A b", { raw_quotes = true }), { "cat", "<<EOF", "<<  A", "b" })
