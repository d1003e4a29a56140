//! What tools of known servers are taken for. The lists are the servers' own names and hints; a tool that reads and is
//! taken for something graver costs an approval, the other way round it would cost one that nobody gave.

use super::*;

/// R Read, W Write, D Destructive, X Execute, F Financial, A Access, ? unknown.
fn letter(class: Option<Risk>) -> char {
    match class {
        Some(Risk::Execute) => 'X',
        None => '?',
        class => class_name(class).chars().next().unwrap(),
    }
}

/// Reads `name`, `name+r` (its server calls it read-only), `name-r` (not read-only), `name+d` (destructive), and
/// `name(parameter,parameter=value|value)`.
fn tool(text: &str) -> Tool {
    let (text, parameters) = match text.split_once('(') {
        Some((name, parameters)) => (name, parameters.trim_end_matches(')')),
        None => (text, ""),
    };
    let (name, hint) = text.split_at(text.find(['+', '-']).unwrap_or(text.len()));
    let parameter = |text: &str| {
        let (name, values) = text.split_once('=').unwrap_or((text, ""));
        let values = values.split('|').filter(|value| !value.is_empty()).map(str::to_owned).collect();
        Parameter { name: name.to_owned(), values }
    };
    Tool {
        name: name.to_owned(),
        read_only: match hint {
            "+r" => Some(true),
            "-r" | "+d" => Some(false),
            _ => None,
        },
        destructive: (hint == "+d").then_some(true),
        parameters: parameters.split(',').filter(|text| !text.is_empty()).map(parameter).collect(),
    }
}

fn is_taken_for(upstream: &str, wanted: &[(char, &str)]) {
    let mut wrong = Vec::new();
    for (class, tools) in wanted {
        for text in tools.split_whitespace() {
            let verdict = classify(upstream, &tool(text));
            if letter(verdict.class) != *class {
                wrong.push(format!("{text}: {} ({}), not {class}", letter(verdict.class), verdict.why));
            }
        }
    }
    assert!(wrong.is_empty(), "{upstream}\n{}", wrong.join("\n"));
}

#[test]
fn aws_iam() {
    is_taken_for(
        "iam",
        &[
            ('R', "list_users get_user list_roles list_policies get_managed_policy_document list_groups get_group"),
            ('R', "get_user_policy get_role_policy list_user_policies list_role_policies simulate_principal_policy"),
            ('A', "create_user delete_user create_role attach_user_policy detach_user_policy create_access_key"),
            ('A', "delete_access_key create_group delete_group add_user_to_group remove_user_from_group"),
            ('A', "attach_group_policy detach_group_policy put_user_policy delete_user_policy put_role_policy"),
            ('A', "delete_role_policy"),
            ('X', "call_aws(cli_command)"),
        ],
    );
}

#[test]
fn github() {
    is_taken_for(
        "github",
        &[
            ('R', "actions_get+r actions_list+r get_code_scanning_alert+r get_commit+r get_discussion_comments+r"),
            ('R', "get_file_blame+r get_file_contents+r get_job_logs+r get_label+r get_latest_release+r get_me+r"),
            ('R', "get_notification_details+r get_repository_tree+r get_team_members+r get_teams+r"),
            ('R', "issue_read+r(method=get|get_comments|get_sub_issues) list_branches+r list_commits+r list_label+r"),
            ('R', "list_repository_collaborators+r list_starred_repositories+r list_issues+r list_releases+r"),
            ('R', "projects_get+r projects_list+r pull_request_read+r search_code+r search_users+r ui_get+r"),
            ('W', "add_comment_to_pending_review-r add_issue_comment-r assign_copilot_to_issue-r create_branch-r"),
            ('W', "create_issue-r create_or_update_file-r create_pull_request-r create_repository-r"),
            ('W', "dismiss_notification-r fork_repository-r issue_write-r(method=create|update)"),
            ('W', "mark_all_notifications_read-r merge_pull_request-r push_files-r reprioritize_sub_issue-r"),
            ('W', "request_copilot_review-r resolve_review_thread-r set_issue_fields-r star_repository-r"),
            ('W', "submit_pending_pull_request_review-r sub_issue_write-r update_issue_labels-r unstar_repository-r"),
            ('D', "delete_file+d delete_pending_pull_request_review+d delete_repository+d remove_sub_issue+d"),
            ('D', "discussion_comment_write+d label_write+d projects_write+d"),
            ('D', "pull_request_review_write-r(method=create|submit_pending|delete_pending)"),
            ('D', "manage_notification_subscription+d(action=ignore|watch|delete)"),
            ('X', "actions_run_trigger+d"),
            // A scanning alert quotes the secret that it found.
            ('A', "get_secret_scanning_alert+r list_secret_scanning_alerts+r add_repository_collaborator-r"),
            ('A', "create_repository_ruleset-r create_org_invitation-r"),
        ],
    );
}

#[test]
fn filesystem() {
    is_taken_for(
        "files",
        &[
            ('R', "read_file read_text_file+r read_media_file+r read_multiple_files+r list_directory+r"),
            ('R', "list_directory_with_sizes+r directory_tree+r search_files+r get_file_info+r"),
            ('R', "list_allowed_directories+r"),
            ('W', "create_directory-r move_file-r edit_file"),
            ('D', "write_file+d delete_file"),
            ('?', "directory_tree"),
        ],
    );
}

#[test]
fn stripe() {
    is_taken_for(
        "stripe",
        &[
            ('R', "list_customers list_products list_prices list_invoices list_payment_intents list_subscriptions"),
            ('R', "list_disputes list_coupons retrieve_balance get_stripe_account_info fetch_stripe_resources"),
            ('R', "search_stripe_resources search_stripe_documentation stripe_list_customers"),
            ('W', "create_customer create_product"),
            ('F', "create_price create_payment_link create_invoice create_invoice_item finalize_invoice create_refund"),
            ('F', "create_coupon update_subscription cancel_subscription update_dispute send_funds(amount,currency)"),
        ],
    );
}

#[test]
fn postgres() {
    is_taken_for(
        "pg",
        &[
            ('R', "list_schemas list_objects get_object_details get_top_queries analyze_db_health"),
            ('R', "analyze_workload_indexes analyze_query_indexes query+r(sql)"),
            ('X', "query(sql) explain_query(sql) execute_sql(sql) execute_sql+r(sql) run_query"),
            ('D', "drop_table truncate_table"),
            ('A', "create_role grant_privileges"),
        ],
    );
}

#[test]
fn slack() {
    is_taken_for(
        "slack",
        &[
            ('R', "slack_list_channels slack_get_channel_history slack_get_thread_replies slack_get_users"),
            ('R', "slack_get_user_profile conversations_history+r channels_list+r conversations_search_messages+r"),
            ('W', "slack_post_message slack_reply_to_thread slack_add_reaction conversations_add_message"),
        ],
    );
}

#[test]
fn shells() {
    is_taken_for(
        "desk",
        &[
            ('R', "list_processes read_process_output list_sessions get_config get_recent_tool_calls"),
            ('X', "run_command execute_command shell_exec bash start_process(command,timeout_ms) execute"),
            ('X', "run_python_code eval get_result(code) check(cmd) browser_evaluate runInTerminal"),
            ('D', "kill_process force_terminate"),
            ('?', "interact_with_process echo"),
        ],
    );
}

#[test]
fn kubernetes() {
    is_taken_for(
        "kubernetes",
        &[
            ('R', "kubectl_get kubectl_describe explain_resource list_api_resources ping configuration_view+r"),
            (
                'R',
                "events_list+r helm_list+r namespaces_list+r nodes_log+r nodes_stats_summary+r nodes_top+r pods_get+r",
            ),
            ('R', "pods_list+r pods_list_in_namespace+r pods_log+r pods_top+r resources_get+r resources_list+r"),
            ('W', "kubectl_apply kubectl_create kubectl_scale kubectl_patch kubectl_rollout"),
            ('D', "kubectl_delete uninstall_helm_chart cleanup helm_uninstall+d pods_delete+d resources_delete+d"),
            ('D', "resources_create_or_update+d node_management(operation=cordon|drain|uncordon)"),
            ('X', "kubectl_generic(command) install_helm_chart upgrade_helm_chart exec_in_pod pods_exec+d pods_run"),
            ('X', "helm_install"),
            ('?', "kubectl_logs pods_top"),
        ],
    );
}

#[test]
fn a_hint_makes_milder_only_what_the_name_says_too() {
    is_taken_for(
        "x",
        &[
            ('?', "frobnicate+r frobnicate 取得 gеt_user+r"),
            ('R', "get_user+r reindex_search+r"),
            ('D', "get_and_delete+r list_or_purge+r"),
            ('W', "get_or_create+r read_write+r search_and_replace+r get_x-r list_things+r(url,body)"),
            ('D', "get_x+d get_x+r(sql,action=delete)"),
            ('A', "get_secret_value+r read_password+r getAccessToken+r shareFile+r"),
            ('X', "run+r list_then_run+r"),
            ('W', "frobnicate-r"),
        ],
    );
}

#[test]
fn names_are_parted_into_words() {
    for (name, words) in [
        ("get_user", "get user"),
        ("getUserByID", "get user by id"),
        ("HTTPGet", "http get"),
        ("list-all.things/now", "list all things now"),
        ("__x__", "x"),
        ("s3ListBuckets", "s3 list buckets"),
        ("", ""),
    ] {
        assert_eq!(split(name).join(" "), words, "{name}");
    }
}

#[test]
fn the_reason_names_what_was_seen() {
    let why = |text: &str| classify("iam", &tool(text)).why;
    assert_eq!(why("list_users"), "its name begins with \"list\"");
    assert_eq!(why("put_user_policy"), "it says \"put\", and \"policy\" is about who may do what");
    assert_eq!(why("create_access_key"), "it says \"create\", and \"access key\" is about who may do what");
    assert_eq!(why("query(sql)"), "it takes \"sql\", which may do anything");
    assert_eq!(why("get_x+d"), "its server says that it may destroy");
    assert_eq!(why("pods_top+r"), "its name says \"top\", and its server calls it read-only");
    assert_eq!(why("x(action=go|delete)"), "its parameter \"action\" may say \"delete\"");
    assert_eq!(why("frobnicate"), "nothing in its name says what it does");
}

#[test]
fn a_listed_tool_is_read_and_what_cannot_be_read_counts_as_not_said() {
    let json = r#"{"name":"get_x","annotations":{"readOnlyHint":false,"destructiveHint":"yes"},
        "inputSchema":{"type":"object","properties":{"action":{"enum":["a",1,"delete"]},"sql":true}}}"#;
    let read = Tool::read("get_x", json);
    let parameter = |name: &str, values: &[&str]| Parameter {
        name: name.to_owned(),
        values: values.iter().map(ToString::to_string).collect(),
    };
    let parameters = vec![parameter("action", &["a", "delete"]), parameter("sql", &[])];
    assert_eq!(read, Tool { name: "get_x".into(), read_only: Some(false), destructive: None, parameters });
    for odd in ["", "[]", r#"{"inputSchema":7,"annotations":[]}"#, r#"{"annotations":{"readOnlyHint":1}}"#] {
        assert_eq!(Tool::read("get_x", odd), Tool::named("get_x"), "{odd}");
    }
}
