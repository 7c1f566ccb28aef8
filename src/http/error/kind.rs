//! The kinds of problems: status, stable code, and title and hint in both languages.

use axum::http::StatusCode;

/// A kind of problem.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    /// English, Chinese.
    pub(super) title: [&'static str; 2],
    /// English, Chinese; empty where the detail says all.
    pub(super) hint: [&'static str; 2],
}

macro_rules! kinds {
    ($( $name:ident = $status:ident $code:literal, $title:tt, $hint:tt; )+) => {
        /// Every kind, by name.
        pub(crate) mod kinds {
            use super::{Kind, StatusCode};
            $(
                pub(crate) const $name: &Kind = &Kind {
                    status: StatusCode::$status, code: $code, title: $title, hint: $hint,
                };
            )+

            /// All of them.
            #[cfg(test)]
            pub(crate) const ALL: &[&Kind] = &[$( $name, )+];
        }
    };
}

kinds! {
    MALFORMED_JSON = BAD_REQUEST "malformed_json",
        ["The body is not JSON", "请求体不是有效的 JSON"], ["", ""];
    MALFORMED_BODY = BAD_REQUEST "malformed_body",
        ["The body cannot be read", "无法读取请求体"], ["", ""];
    INVALID_QUERY = BAD_REQUEST "invalid_query",
        ["A query parameter is not valid", "查询参数无效"], ["", ""];
    INVALID_HOST = BAD_REQUEST "invalid_host",
        ["The Host header is not valid", "Host 头无效"], ["", ""];
    UNAUTHENTICATED = UNAUTHORIZED "unauthenticated",
        ["A token is needed", "需要访问令牌"],
        ["Send 'Authorization: Bearer <token>'; 'narrowcast token create' makes one.",
         "请发送 'Authorization: Bearer <token>'；用 'narrowcast token create' 创建令牌。"];
    FORBIDDEN = FORBIDDEN "forbidden",
        ["The token's role does not allow this", "令牌的角色无权执行此操作"],
        ["Use a token of the role that the detail names.", "请使用具有所需角色的令牌。"];
    NOT_FOUND = NOT_FOUND "not_found", ["Not found", "未找到"], ["", ""];
    METHOD_NOT_ALLOWED = METHOD_NOT_ALLOWED "method_not_allowed",
        ["Method not allowed", "不允许该请求方法"],
        ["The Allow header lists the methods of this path.", "Allow 头列出了此路径支持的方法。"];
    NOT_BARRED = NOT_FOUND "not_barred",
        ["The device is not barred", "设备未被禁止升级"], ["", ""];
    CONFLICT = CONFLICT "conflict", ["It is there already or still in use", "已存在或仍在使用"], ["", ""];
    GROUP_IS_FILTER = CONFLICT "group_is_filter",
        ["A filter finds this group's devices", "该群组的设备由筛选条件确定"],
        ["Change the filter with PUT /api/v1/groups/{id}, or bind devices to a group without one.",
         "请用 PUT /api/v1/groups/{id} 修改筛选条件，或将设备绑定到没有筛选条件的群组。"];
    INVALID_TRANSITION = CONFLICT "invalid_transition",
        ["The campaign's state does not allow this", "任务当前状态不允许此操作"],
        ["A draft can be activated, an active campaign paused, stopped or retried, a paused one resumed; what is over and at rest can be retried, archived or deleted. The detail says what stands against it here.",
         "草稿可激活，进行中的任务可暂停、停止或重试，已暂停的可恢复；已结束且无设备仍在升级的可重试、归档或删除。具体原因见 detail。"];
    HALTED = CONFLICT "halted",
        ["It was halted before it began", "任务在开始之前已被急停"],
        ["Nothing has begun. Ask again where it is to begin all the same.", "任务未开始。如仍需开始，请重新操作。"];
    APPROVAL_REQUIRED = CONFLICT "approval_required",
        ["The campaign has to be approved first", "任务须先经审批"],
        ["Another person with role approver approves it with POST /api/v1/campaigns/{id}/approve.",
         "请由另一位审批人调用 POST /api/v1/campaigns/{id}/approve。"];
    KEY_REVOKED = CONFLICT "key_revoked",
        ["The key that signed the package is revoked", "固件包的签名密钥已被吊销"],
        ["Sign the firmware with another key of the manufacturer and upload that package.",
         "请用该厂商的其他密钥重新签名固件并上传。"];
    KEY_RETIRED = CONFLICT "key_retired",
        ["The key that signed the package is retired", "固件包的签名密钥已停用"],
        ["Sign the firmware with an active key of the manufacturer; GET /api/v1/keys lists them.",
         "请用该厂商有效的密钥重新签名；GET /api/v1/keys 列出所有密钥。"];
    INVALID_KEY_TRANSITION = CONFLICT "invalid_key_transition",
        ["The key's state does not allow this", "密钥当前状态不允许此操作"],
        ["An active key can be retired or revoked, a retired one revoked; neither is undone.",
         "有效的密钥可停用或吊销，已停用的可吊销；两者均不可撤销。"];
    TASK_ENDED = CONFLICT "task_ended",
        ["The update of this device has ended, or its campaign is not active", "该设备的升级已结束，或任务未在进行"],
        ["GET /api/v1/campaigns/{id}/tasks says how each ended; a failed one can be retried.",
         "可用 GET /api/v1/campaigns/{id}/tasks 查看结果；失败的可重试。"];
    CONSENT_NOT_ASKED = CONFLICT "consent_not_asked",
        ["Nobody need agree to this campaign's updates", "该任务为静默升级，无需确认"], ["", ""];
    CONSENT_GIVEN = CONFLICT "consent_given",
        ["It was agreed to already", "升级已被确认"],
        ["Stop the update of the device instead.", "如需终止，请停止该设备的升级。"];
    UPDATE_ACTIVE = CONFLICT "update_active",
        ["A campaign updates this device", "设备正在升级任务中"],
        ["Wait until its task has ended, or stop the campaign.", "请等待任务结束，或停止升级计划。"];
    NOT_QUEUED = CONFLICT "not_queued",
        ["The request no longer waits", "请求已不在排队"], ["", ""];
    TOO_MANY_REQUESTS = TOO_MANY_REQUESTS "too_many_requests",
        ["Too many requests wait for this device", "等待该设备的请求过多"],
        ["Wait until the device has been heard, or cancel some.", "请等待设备上线，或取消部分请求。"];
    DEVICE_REFUSED = BAD_GATEWAY "device_refused",
        ["The device refused", "设备拒绝了请求"], ["", ""];
    DEVICE_UNREADABLE = BAD_GATEWAY "device_unreadable",
        ["The device's answer cannot be read", "无法解析设备的应答"], ["", ""];
    NO_PUBLIC_HOST = CONFLICT "no_public_host",
        ["Devices could not fetch the package", "设备将无法下载固件包"],
        ["Start the server with --coap and --public-host, an IPv4 address that devices reach.",
         "请用 --coap 开启监听，并用 --public-host 指定设备可访问的 IPv4 地址。"];
    PACKAGE_BY_LINK = CONFLICT "package_by_link",
        ["A campaign cannot deliver this package", "升级任务无法下发该固件包"],
        ["Make links of its files with POST /api/v1/packages/{id}/links; or sign one file for the module as a package of its own.",
         "请用 POST /api/v1/packages/{id}/links 生成各文件的下载链接；或将单个模组固件单独签名为一个固件包。"];
    PACKAGE_EXPIRED = CONFLICT "package_expired",
        ["The package may not be installed any more", "固件包已过有效期"],
        ["Sign the firmware again with a later 'notAfter' in package-info.json, and upload that package.",
         "请在 package-info.json 中设置更晚的 notAfter，重新签名并上传。"];
    PACKAGE_IN_USE = CONFLICT "package_in_use",
        ["A campaign is of this package", "固件包正被升级任务使用"],
        ["Delete the campaign first; one that runs must be stopped before.",
         "请先删除该任务；进行中的任务须先停止。"];
    NO_DEVICE_LISTENER = CONFLICT "no_device_listener",
        ["Modules could not fetch from a link", "模组将无法通过链接下载"],
        ["Start the server with --device-http, and --public-host where that names no address.",
         "请用 --device-http 开启监听；若其未指定地址，还需 --public-host。"];
    NO_DEVICE_HTTP = CONFLICT "no_device_http",
        ["Devices could not fetch the package by HTTP", "设备将无法通过 HTTP 下载固件包"],
        ["Start the server with --device-http, or let the product fetch by CoAP.",
         "请用 --device-http 开启监听，或将该产品改为 CoAP 下载。"];
    PROFILE_REFUSED = UNPROCESSABLE_ENTITY "profile_refused",
        ["The profile is not accepted", "产品模型不被接受"],
        ["'narrowcast profile lint' says what is wrong, and mends what it can.",
         "可用 'narrowcast profile lint' 检查并修正。"];
    PROFILE_MISMATCH = UNPROCESSABLE_ENTITY "profile_mismatch",
        ["The package does not match the product's profile", "固件包与产品模型不一致"],
        ["Device type, manufacturer, model and protocol must be the same, letter by letter.",
         "设备类型、厂商名称、型号、协议必须逐字一致。"];
    UPGRADE_UNSUPPORTED = CONFLICT "upgrade_unsupported",
        ["The product's profile allows no firmware upgrade", "产品模型未声明支持固件升级"],
        ["Enter the product's profile again with the capability that the detail names.",
         "请按说明补全产品模型的运维能力后重新导入。"];
    PROFILE_IN_USE = CONFLICT "profile_in_use",
        ["A campaign that is not over is for this product", "该产品仍有未结束的升级任务"],
        ["Stop or delete the campaign first.", "请先停止或删除该任务。"];
    STALE = PRECONDITION_FAILED "stale",
        ["It has changed since it was read", "读取之后内容已变更"],
        ["Read it again, and send the change with the new ETag.", "请重新读取，并用新的 ETag 提交更改。"];
    BODY_TOO_SLOW = REQUEST_TIMEOUT "body_too_slow",
        ["The body came too slowly", "请求体传输过慢"], ["Send it again.", "请重新发送。"];
    TOO_LARGE = PAYLOAD_TOO_LARGE "too_large", ["The body is too large", "请求体过大"], ["", ""];
    UNSUPPORTED_MEDIA_TYPE = UNSUPPORTED_MEDIA_TYPE "unsupported_media_type",
        ["The body has the wrong type", "请求体类型不受支持"], ["", ""];
    INVALID_FIELD = UNPROCESSABLE_ENTITY "invalid_field",
        ["A field is not valid", "字段无效"], ["", ""];
    INVALID_CSV = UNPROCESSABLE_ENTITY "invalid_csv",
        ["The CSV file is not valid; no device was entered", "CSV 文件无效，未导入任何设备"], ["", ""];
    PRIVATE_KEY = UNPROCESSABLE_ENTITY "private_key_refused",
        ["A private key was sent; it was not stored", "收到私钥，未予保存"],
        ["Send public.pem. A private key that has left its place should be replaced.",
         "请发送 public.pem。已外泄的私钥应当更换。"];
    KEY_REFUSED = UNPROCESSABLE_ENTITY "key_refused",
        ["The key is not accepted", "公钥不被接受"], ["", ""];
    PACKAGE_REFUSED = UNPROCESSABLE_ENTITY "package_refused",
        ["The package is not accepted", "固件包不被接受"],
        ["'narrowcast verify' checks a package before it is sent.",
         "上传前可用 'narrowcast verify' 检查固件包。"];
    SIGNED_INFO_MISMATCH = UNPROCESSABLE_ENTITY "signed_info_mismatch",
        ["The form differs from what was signed", "表单与签名信息不一致"], ["", ""];
    UNKNOWN_REFERENCE = UNPROCESSABLE_ENTITY "unknown_reference",
        ["A field names something that is not there", "字段引用的对象不存在"], ["", ""];
    NO_DEVICE = UNPROCESSABLE_ENTITY "no_device",
        ["No device is in this campaign", "任务中没有设备"],
        ["'?dry_run=true' says who is in, who is not, and why.",
         "用 '?dry_run=true' 查看哪些设备被包含或排除及原因。"];
    INTERNAL = INTERNAL_SERVER_ERROR "internal",
        ["The server failed", "服务器内部错误"], ["The server's log says more.", "详见服务器日志。"];
    UNAVAILABLE = SERVICE_UNAVAILABLE "unavailable",
        ["Not possible just now", "暂时不可用"], ["Try again later.", "请稍后重试。"];
    NOT_READY = SERVICE_UNAVAILABLE "not_ready", ["Not ready", "尚未就绪"], ["", ""];
    OUTCOME_UNKNOWN = SERVICE_UNAVAILABLE "outcome_unknown",
        ["It is not known whether it was done: that took too long", "处理超时，结果未知"],
        ["It may still be done: read the state before you ask again.",
         "操作可能仍会执行：请先查询状态再重试。"];
    TIMED_OUT = SERVICE_UNAVAILABLE "timed_out",
        ["The request took too long", "请求处理超时"],
        ["It may still be done: read the state before you ask again.",
         "操作可能仍会执行：请先查询状态再重试。"];
    NO_SPACE = INSUFFICIENT_STORAGE "no_space_left",
        ["No space is left", "存储空间不足"], ["", ""];
    LIMIT_REACHED = INSUFFICIENT_STORAGE "limit_reached",
        ["A configured limit is reached", "已达到配置上限"],
        ["Wait until an active campaign or a waiting request has ended, or raise the limit.",
         "请等待进行中的任务或排队的请求结束，或提高上限。"];
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::kinds;

    #[test]
    fn codes_are_distinct_and_every_kind_has_a_title_in_both_languages() {
        let codes: BTreeSet<_> = kinds::ALL.iter().map(|kind| kind.code).collect();
        assert_eq!(codes.len(), kinds::ALL.len());
        for kind in kinds::ALL {
            assert!(kind.title.iter().all(|title| !title.is_empty()));
            assert_eq!(kind.hint[0].is_empty(), kind.hint[1].is_empty());
        }
    }
}
