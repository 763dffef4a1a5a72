-- What commands about images share: finding, filtering, the rows of a list, the details of one.

local command = ...
local filter = command.use "filter"
local time = command.use "time"
local units = command.use "units"

local images = {}

images.filters = { "dangling", "label", "before", "since", "reference" }

--- The image of that name or id, or an error.
function images.find(name)
  local img = image.get(name)
  if not img then
    command.fail("no such image '" .. name .. "'", { kind = "not_found" })
  end
  return img
end

--- Seconds since 1970 when an image was made, or nil.
function images.created(img)
  return img.created and time.parse(img.created)
end

local function labels(img)
  local config = img.config.config
  return config and config.Labels or {}
end

-- `debian`, `debian:12`, `ghcr.io/*`: with or without a tag.
local function matches_reference(name, pattern)
  local repository, tag = units.split_name(name)
  local wanted, wanted_tag = units.split_name(pattern)
  local fits = repository:find(filter.glob(wanted)) ~= nil
  return fits and (not wanted_tag or (tag or ""):find(filter.glob(wanted_tag)) ~= nil)
end

local function wanted_name(name, references)
  if not references then
    return true
  end
  for _, pattern in ipairs(references) do
    if matches_reference(name, pattern) then
      return true
    end
  end
  return false
end

-- When the images of `names` were made: the latest of them for "since", the earliest for "before".
local function bound(names, choose)
  local bound
  for _, name in ipairs(names or {}) do
    local created = images.created(images.find(name)) or 0
    bound = bound and choose(bound, created) or created
  end
  return bound
end

--- The images that match, newest first. `values` is what filter.read gives.
function images.list(values)
  local dangling = filter.boolean(values, "dangling")
  local before, since = bound(values.before, math.min), bound(values.since, math.max)
  local found = {}
  for _, img in ipairs(image.list()) do
    local created = images.created(img) or 0
    local fits = (dangling == nil or dangling == (#img.names == 0))
      and (not before or created < before)
      and (not since or created > since)
      and filter.labels(labels(img), values.label)
    if fits then
      found[#found + 1] = { image = img, created = created, id = img.id }
    end
  end
  table.sort(found, function(left, right)
    if left.created ~= right.created then
      return left.created > right.created
    end
    return left.id < right.id
  end)
  for index, entry in ipairs(found) do
    found[index] = entry.image
  end
  return found
end

images.headings = {
  ID = "IMAGE ID",
  Repository = "REPOSITORY",
  Tag = "TAG",
  Digest = "DIGEST",
  CreatedSince = "CREATED",
  CreatedAt = "CREATED AT",
  Size = "SIZE",
}

--- A row for each name of an image; one without a name has one row too.
function images.rows(list, options)
  local rows = {}
  local function add(img, repository, tag)
    local created = images.created(img)
    rows[#rows + 1] = {
      object = img,
      fields = {
        ID = options.no_trunc and img.id or units.short(img.id),
        Repository = repository or "<none>",
        Tag = tag or "<none>",
        Digest = img.digest,
        CreatedSince = time.ago(created),
        CreatedAt = time.created_at(created),
        Size = units.size(img.size),
      },
    }
  end
  for _, img in ipairs(list) do
    for _, name in ipairs(img.names) do
      if wanted_name(name, options.references) then
        local repository, tag = units.split_name(name)
        add(img, repository, tag)
      end
    end
    if #img.names == 0 and not options.references then
      add(img)
    end
  end
  return rows
end

--- All that is known of an image, in the field's shape.
function images.details(img)
  local config, tags, digests, layers = img.config, {}, {}, {}
  for _, name in ipairs(img.names) do
    local repository, tag, digest = units.split_name(name)
    if not digest then
      tags[#tags + 1] = repository .. ":" .. (tag or "latest")
    end
    digests[#digests + 1] = repository .. "@" .. img.digest
  end
  for index, layer in ipairs(img.layers) do
    layers[index] = layer.diff_id
  end
  return {
    Id = img.id,
    RepoTags = tags,
    RepoDigests = digests,
    Created = img.created,
    Author = config.author,
    Config = config.config or {},
    Architecture = config.architecture,
    Os = config.os,
    Variant = config.variant,
    Size = img.size,
    RootFS = { Type = "layers", Layers = layers },
  }
end

return images
