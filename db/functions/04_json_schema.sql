-- The JSON Schema (draft 2020-12) of a tracked table's rows as they stand in events: for clients, for `GET /v1/schema`.

create or replace function tide.type_schema(type oid, modifier integer) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  t pg_type;
begin
  select * into strict t from pg_type where oid = type;
  if t.typtype = 'd' then
    return tide.type_schema(t.typbasetype, t.typtypmod);
  elsif t.typcategory = 'A' and t.typelem <> 0 then
    return jsonb_build_object('type', 'array', 'items', tide.type_schema(t.typelem, modifier));
  elsif t.typtype = 'e' then
    return jsonb_build_object('type', 'string', 'enum', (select jsonb_agg(enumlabel order by enumsortorder) from pg_enum where enumtypid = type));
  elsif t.typtype = 'c' then
    return jsonb_build_object('type', 'object');
  end if;
  return case type::regtype
    when 'bool'::regtype then '{"type": "boolean"}'
    when 'int2'::regtype then '{"type": "integer", "minimum": -32768, "maximum": 32767}'
    when 'int4'::regtype then '{"type": "integer", "minimum": -2147483648, "maximum": 2147483647}'
    when 'int8'::regtype then '{"type": "integer", "format": "int64"}'
    when 'numeric'::regtype then '{"type": "number"}'
    when 'float4'::regtype then '{"type": "number"}'
    when 'float8'::regtype then '{"type": "number"}'
    when 'uuid'::regtype then '{"type": "string", "format": "uuid"}'
    when 'date'::regtype then '{"type": "string", "format": "date"}'
    when 'timestamptz'::regtype then '{"type": "string", "format": "date-time"}'
    when 'json'::regtype then '{}'
    when 'jsonb'::regtype then '{}'
    else case when type in ('varchar'::regtype, 'bpchar'::regtype) and modifier > 4
      then jsonb_build_object('type', 'string', 'maxLength', modifier - 4)
      when type in ('text'::regtype, 'varchar'::regtype, 'bpchar'::regtype, 'name'::regtype) then '{"type": "string"}'
      else jsonb_build_object('type', 'string', 'x-type', format_type(type, modifier)) end
  end::jsonb;
end $$;

-- x-key: the columns that make the entity id; x-scope: the one that is the scope, or null. readOnly: the database computes it;
-- x-default: it fills it in where a new row does not say.
create or replace function tide.json_schema(relation regclass, entity text, keys text[], scope text) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp
begin atomic
  with columns as (
    select a.attname as name, a.attnum as place, a.attnotnull as required, tide.type_schema(a.atttypid, a.atttypmod) as type,
      case
        when a.attgenerated <> '' or a.attidentity = 'a' then '{"readOnly": true}'
        when a.atthasdef or a.attidentity = 'd' then '{"x-default": true}'
        else '{}'
      end::jsonb as origin,
      case when d.text is null then '{}' else jsonb_build_object('description', d.text) end as description
    from pg_attribute a cross join lateral col_description(a.attrelid, a.attnum) d(text)
    where a.attrelid = json_schema.relation and a.attnum > 0 and not a.attisdropped),
  properties as (
    select name, place, origin || description || case
      when required or type = '{}' then type
      when type ? 'enum' then type || jsonb_build_object('type', '["string", "null"]'::jsonb, 'enum', (type -> 'enum') || 'null'::jsonb)
      else type || jsonb_build_object('type', jsonb_build_array(type -> 'type', 'null'))
    end as property
    from columns)
  select jsonb_build_object(
    '$schema', 'https://json-schema.org/draft/2020-12/schema',
    'title', json_schema.entity,
    'type', 'object',
    'properties', jsonb_object_agg(name, property),
    'required', jsonb_agg(name order by place),
    'x-key', to_jsonb(json_schema.keys),
    'x-scope', json_schema.scope)
  from properties;
end;
