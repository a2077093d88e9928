-- The one place where options meet: step's own > submit flags > handler's own > workflow defaults > config > built-in.
-- Returns each given option with its level; what is absent is built-in. p_handler is registry.options, null for unknown names.
create or replace function tributary.resolve_options(
    p_step jsonb, p_submit jsonb, p_handler jsonb, p_defaults jsonb, p_config jsonb
) returns jsonb
language sql immutable parallel safe
as $$
    select tributary.option_levels(p_config, 'config')
        || tributary.option_levels(p_defaults, 'defaults')
        || tributary.option_levels(p_handler, 'handler')
        || tributary.option_levels(p_submit, 'submit')
        || tributary.option_levels(p_step, 'step')
$$;
