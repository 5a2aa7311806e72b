"""Pure decisions: model, paths, filters, diff, moves, plan, guard, retry and pacing arithmetic."""
