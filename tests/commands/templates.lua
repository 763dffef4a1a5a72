-- The template language: what Go's text/template prints, as the field's --format uses it.

local command = ...
local template = command.use "template"

local object = {
  Name = "web",
  Empty = "",
  Count = 3,
  On = true,
  Off = false,
  List = { "a", "b", "c" },
  None = {},
  Map = { b = "2", a = "1" },
  State = { Pid = 42, Health = { Status = "healthy" } },
  Label = function(name)
    return "<" .. name .. ">"
  end,
}

local CASES = {
  { "plain", "plain" },
  { "{{.Name}}", "web" },
  { "{{ .State.Pid }}/{{.State.Health.Status}}", "42/healthy" },
  { "{{.Missing}}{{.Missing.Deeper}}", "<no value><no value>" },
  { "{{.List}} {{.Map}} {{.None}}", "[a b c] map[a:1 b:2] []" },
  { "{{.On}} {{.Off}}", "true false" },
  { '{{.Label "x"}}', "<x>" },
  { "{{json .List}} {{json .Map}} {{json .Name}} {{json .Missing}}", '["a","b","c"] {"a":"1","b":"2"} "web" null' },
  { '{{join .List ", "}}', "a, b, c" },
  { '{{.Name | upper | printf "%s!"}}', "WEB!" },
  { '{{printf "%5.1f|%v" 2.25 .Name}}', "  2.2|web" },
  { "{{len .List}} {{len .Map}} {{len .Name}}", "3 2 3" },
  { '{{index .List 0}} {{index .Map "b"}}', "a 2" },
  { '{{(index .List 1) | upper}} {{title "a word"}} {{lower "ABC"}}', "B A Word abc" },
  { '{{index (split "a:b" ":") 1}}', "b" },
  { "{{if .On}}yes{{else}}no{{end}} {{if .Empty}}yes{{else}}no{{end}}", "yes no" },
  { "{{if .Off}}1{{else if eq .Count 3}}2{{else}}3{{end}}", "2" },
  { "{{if .Off}}1{{else if .Empty}}2{{else}}3{{end}}", "3" },
  { "{{range .List}}<{{.}}>{{end}}", "<a><b><c>" },
  { "{{range $i, $v := .List}}{{$i}}{{$v}} {{end}}", "0a 1b 2c " },
  { "{{range $k, $v := .Map}}{{$k}}={{$v}};{{end}}", "a=1;b=2;" },
  { "{{range .None}}x{{else}}empty{{end}}", "empty" },
  { "{{range .List}}{{$.Name}}{{end}}", "webwebweb" },
  { "{{with .State}}{{.Pid}}{{end}}{{with .Empty}}x{{else}}{{.Name}}{{end}}", "42web" },
  { "{{$x := .Name}}{{$x}}{{$x}}", "webweb" },
  { "a {{- .Name}} b", "aweb b" },
  { "a  {{- .Name -}}  b", "awebb" },
  { "{{/* nothing */}}x", "x" },
  { "{{and .On .Name}} {{or .Empty .Count}} {{not .On}}", "web 3 false" },
  { '{{eq .Name "web" }} {{ne .Count 3}} {{lt 1 2}} {{ge 2 2}}', "true false true true" },
  { "{{println .Name}}", "web\n" },
  { '{{"a\\tb"}} {{`raw\\t`}}', "a\tb raw\\t" },
  { '{{truncate .Name 2}}|{{pad .Name 1 2}}|', "we| web  |" },
}

local WRONG = {
  { "{{.Name", "without '}}'" },
  { "{{end}}", "without a beginning" },
  { "{{if .On}}x", "'{{end}}' is missing" },
  { "{{jsn .}}", "unknown function 'jsn'" },
  { "{{}}", "something is missing" },
  { '{{"x}}', "not closed" },
  { "{{.Name.X}}", "has no fields" },
  { "{{range .Name}}x{{end}}", "'range' takes" },
  { "{{(.Name}}", "')' is missing" },
  { "{{.Name )}}", "unexpected ')'" },
}

return {
  summary = "Test",
  run = function()
    for _, case in ipairs(CASES) do
      local text = template(case[1])(object)
      if text ~= case[2] then
        error(string.format("%s: expected %q, got %q", case[1], case[2], text), 0)
      end
    end
    for _, case in ipairs(WRONG) do
      local ok, err = pcall(function()
        return template(case[1])(object)
      end)
      if ok or not tostring(err.message):find(case[2], 1, true) then
        error(string.format("%s: expected an error with %q, got %s", case[1], case[2], err.message or err), 0)
      end
    end
    command.print("all fine")
  end,
}
